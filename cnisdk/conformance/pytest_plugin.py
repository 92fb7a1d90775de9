"""pytest: a plugin's conformance as tests, and fixtures to test a plugin on the real kernel.

``pytest --cni-plugin PATH`` collects a test for each check.  The fixtures ``cni_host``,
``cni_container``, ``cni_run`` and ``cni_runtime`` need no root: a session that uses one of them
starts itself anew in namespaces of its own.

Import budget: this is loaded into every pytest session where cnisdk is installed, so what it
needs is imported when it is needed.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cnisdk.conformance.check import Check
    from cnisdk.conformance.host import Container, Host
    from cnisdk.conformance.in_process import Runner
    from cnisdk.conformance.runner import Bench, Verdict
    from cnisdk.conformance.subject import Subject
    from cnisdk.runtime import Runtime

FIXTURES = frozenset({"cni_host", "cni_container", "cni_run", "cni_runtime"})
_bench: "pytest.StashKey[Bench]" = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("cni", "CNI plugins")
    group.addoption(
        "--cni-plugin", metavar="PATH", help="collect the specification's checks of this executable"
    )
    group.addoption(
        "--cni-config", metavar="FILE", help="configuration to test it with (default: one is made)"
    )
    group.addoption(
        "--cni-kind",
        choices=("interface", "chained", "ipam"),
        help="what it is for (default: guessed from its name and configuration)",
    )
    parser.addini(
        "cni_private",
        "run every session in a private host; needed where fixtures are used with xdist",
        type="bool",
        default=False,
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Start the session anew in a private host, if it is known to need one."""
    if config.option.help or config.option.collectonly or getattr(config.option, "version", 0):
        return
    if config.getoption("cni_plugin") or config.getini("cni_private"):
        _go_private(config)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the session anew in a private host, if a test turns out to need one."""
    if session.config.option.collectonly:
        return
    if any(FIXTURES & set(getattr(item, "fixturenames", ())) for item in session.items):
        _go_private(session.config)


def _go_private(config: pytest.Config) -> None:
    from cnisdk.conformance import private

    if not private.inside():
        if hasattr(config, "workerinput"):
            raise pytest.UsageError("with xdist, these fixtures need cni_private = true in the ini")
        capture = config.pluginmanager.getplugin("capturemanager")
        if capture is not None:
            capture.stop_global_capturing()
        try:
            private.enter(["-m", "pytest", *config.invocation_params.args], what="The session")
        except private.RefusedError as err:
            raise pytest.UsageError(str(err)) from err
    private.prepare()


# -- the checks as tests -----------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add a test for each check."""
    if not config.getoption("cni_plugin"):
        return
    from cnisdk.conformance.runner import Bench, applicable

    subject = _subject(config)
    config.stash[_bench] = Bench(subject)
    parent = Conformance.from_parent(session, name=subject.name)
    checks: list[pytest.Item | pytest.Collector] = [
        CheckItem.from_parent(parent, name=check.id, check=check) for check in applicable(subject)
    ]
    items += checks  # type: ignore[arg-type]
    report = pytest.CollectReport(parent.nodeid, "passed", None, checks)
    config.hook.pytest_collectreport(report=report)  # so that they are counted


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take the world of the checks away."""
    if bench := config.stash.get(_bench, None):
        bench.close()


def _subject(config: pytest.Config) -> "Subject":
    from cnisdk.conformance.check import Kind
    from cnisdk.conformance.subject import Subject, guess_kind

    executable = os.path.abspath(config.getoption("cni_plugin"))
    if not os.access(executable, os.X_OK):
        raise pytest.UsageError(f"--cni-plugin: {executable} is no executable file")
    given: dict[str, Any] | None = None
    if path := config.getoption("cni_config"):
        given = json.loads(Path(path).read_bytes())
    kind = config.getoption("cni_kind")
    return Subject(
        executable=executable,
        kind=Kind(kind) if kind else guess_kind(executable, given),
        config=given,
        cni_path=_search_path(),
    )


def _search_path() -> tuple[str, ...]:
    from cnisdk.runtime.defaults import PLUGIN_DIRS

    path = os.environ.get("CNI_PATH")
    return tuple(path.split(os.pathsep)) if path else PLUGIN_DIRS


class Conformance(pytest.Collector):
    """The checks of one plugin."""

    def collect(self) -> Iterator[pytest.Item]:
        """Return nothing: the checks are there already."""
        return iter(())


class WrongError(Exception):
    """A check failed."""

    def __init__(self, verdict: "Verdict") -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict


class CheckItem(pytest.Item):
    """One check as a test."""

    def __init__(self, *, check: "Check", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check = check

    def runtest(self) -> None:
        """Judge."""
        verdict = self.config.stash[_bench].judge(self.check)
        if verdict.outcome == "skip":
            pytest.skip(verdict.reason)
        if verdict.outcome == "fail":
            raise WrongError(verdict)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Say what is wrong, with the sentence and the call."""
        if isinstance(excinfo.value, WrongError):
            from cnisdk.conformance.report import failure

            return "\n".join(failure(excinfo.value.verdict))
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Say what it is."""
        return self.path, None, f"{self.check.id} ({self.check.level})"


# -- fixtures ----------------------------------------------------------------------------------


@pytest.fixture
def cni_host(tmp_path: Path) -> Iterator["Host"]:
    """Yield a private host: a network namespace, containers on demand, a directory for files.

    ``cni_host.run(...)`` and ``cni_host.json("ip", "addr")`` execute programs in it.
    """
    from cnisdk.conformance.host import Host

    state = tmp_path / "cni-state"
    state.mkdir()
    host = Host(state)
    try:
        yield host
    finally:
        host.close()


@pytest.fixture
def cni_container(cni_host: "Host") -> "Container":
    """Return a container on ``cni_host``: its ``id``, the ``path`` of its namespace, ``run``."""
    return cni_host.container()


@pytest.fixture
def cni_run(cni_host: "Host", request: pytest.FixtureRequest) -> "Runner":
    """Return what calls a plugin class in this process: ``cni_run(Plugin, "ADD", config, c)``."""
    from cnisdk.conformance.in_process import Runner

    return Runner(cni_host, (*_directory_of_plugin(request.config), *_search_path()))


@pytest.fixture
def cni_runtime(
    cni_host: "Host", tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator["Runtime"]:
    """Yield a runtime on ``cni_host``, with the directory of ``--cni-plugin`` and CNI_PATH.

    For the length of the test its thread is in the network namespace of ``cni_host``.
    """
    from cnisdk.runtime import Cache, Runtime

    with cni_host.inside():
        dirs = [*_directory_of_plugin(request.config), *_search_path()]
        yield Runtime(dirs, cache=Cache(str(tmp_path / "cni-cache")))


def _directory_of_plugin(config: pytest.Config) -> list[str]:
    executable = config.getoption("cni_plugin")
    return [os.path.dirname(os.path.abspath(executable))] if executable else []
