"""Call a plugin class in this process, as its executable would be called."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnisdk.conformance.host import Container, Host
from cnisdk.plugin import Plugin
from cnisdk.runner import run


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended."""

    status: int
    """Exit status."""
    stdout: bytes

    @property
    def json(self) -> Any:
        """The JSON value on stdout, None if there was none."""
        return json.loads(self.stdout) if self.stdout.strip() else None


class Runner:
    """Calls plugin classes on ``host``: in its network namespace, with CNI_PATH."""

    def __init__(self, host: Host, cni_path: Sequence[str]) -> None:
        self.host = host
        self.cni_path = tuple(cni_path)

    def __call__(
        self,
        plugin: type[Plugin[Any]],
        command: str,
        config: Mapping[str, Any],
        container: Container | None = None,
        *,
        ifname: str = "eth0",
        args: str = "",
    ) -> Outcome:
        """Call ``plugin`` and return how that ended."""
        environ = {"CNI_COMMAND": command, "CNI_PATH": ":".join(self.cni_path), "CNI_ARGS": args}
        if container is not None:
            environ |= {
                "CNI_CONTAINERID": container.id,
                "CNI_NETNS": container.path,
                "CNI_IFNAME": ifname,
            }
        stdout = io.BytesIO()
        with self.host.inside():
            status = run(plugin, environ, json.dumps(config).encode(), stdout)
        return Outcome(status, stdout.getvalue())
