"""What the kit gives to a plugin, and when."""

import select
from collections.abc import Mapping, Sequence

from cnisdk.conformance.execution import Running, spawn


def test_stdin_is_there_before_the_plugin_is() -> None:
    """A plugin may give VERSION a moment only: what comes later is another call to it."""
    ready: list[bool] = []

    def look(
        executable: str,
        environ: Mapping[str, str],
        fds: tuple[int, int, int],
        prefix: Sequence[str],
    ) -> int:
        ready.append(bool(select.select([fds[0]], [], [], 0)[0]))
        return spawn(executable, environ, fds, prefix)

    done = Running("/bin/cat", {}, b"{}", spawn=look).finish()

    assert ready == [True]
    assert done.stdout == b"{}"


def test_a_stdin_larger_than_a_pipe_comes_whole() -> None:
    stdin = b"x" * (1 << 20)

    assert Running("/bin/cat", {}, stdin).finish().stdout == stdin
