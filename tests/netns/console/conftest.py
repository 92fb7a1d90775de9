"""Executables to type the names of, and a node without a configuration to type them on."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.host import OURS, ROOT, Host, Outcome

PROBE = '''\
#!{python} -I
"""A plugin that notes what it is told, in a file for each call, and does what a file says."""
import json, os, sys, time
sys.path[:0] = [{root!r}]
from pathlib import Path
from cnisdk import IPConfig, Plugin, PluginConfig, PluginError, Result, main

HERE = Path({here!r})


class Probe(Plugin[PluginConfig]):
    """Notes what it is told."""

    default_config = {{}}

    def note(self):
        sys.stdout.write("a stray print")
        env = {{k: v for k, v in os.environ.items() if k.startswith("CNI_")}}
        told = {{"env": env, "config": json.loads(self.call.stdin)}}
        number = len(list((HERE / "calls").iterdir()))
        (HERE / "calls" / f"{{number:04}}").write_text(json.dumps(told))
        os.environ["CNI_LEFT"] = "over"
        os.chdir("/")
        todo = HERE / self.call.command
        if todo.exists():
            exec(todo.read_text())

    def add(self, config, attachment):
        self.note()
        self.undo.push((HERE / "undone").touch)
        result = config.prev_result or Result()
        ip = IPConfig(address=f"10.0.0.{{1 + len(result.ips)}}/24")
        return result.replace(ips=(*result.ips, ip))

    def delete(self, config, attachment):
        self.note()

    def check(self, config, attachment):
        self.note()

    def status(self, config):
        self.note()

    def gc(self, config, valid):
        self.note()


main(Probe)
'''


class Node:
    """A host to type on: with directories of its own in place of the usual ones."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.net_d = host.state / "net.d"
        self.cache = host.state / "cni"
        self.bin = host.state / "bin"
        self.bin.mkdir()

    def type(self, *argv: str, check: bool = True, input: str = "", **env: str) -> Outcome:
        """Type a command; plugins are those of `probe`, else of the checkout."""
        name, *rest = argv
        executable = self.bin / name if (self.bin / name).exists() else Path(OURS, name)
        where = ["--config-dir", str(self.net_d), "--cache-dir", str(self.cache)]
        where = where if rest and rest[0] not in ("version", "schema") else []
        done = self.host.run(
            str(executable),
            *rest,
            *where,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **env},
            input=input,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(argv)}: {done.stdout}{done.stderr}")
        return Outcome(done.returncode, done.stdout, done.stderr)

    def probe(self, name: str = "probe") -> "Probe":
        """Make an executable of that name that notes its calls."""
        return Probe(self, name)

    def network(self, name: str, *plugins: Mapping[str, Any], version: str = "1.1.0") -> Path:
        """Configure a network."""
        self.net_d.mkdir(exist_ok=True)
        file = self.net_d / f"{name}.conflist"
        file.write_text(json.dumps({"cniVersion": version, "name": name, "plugins": plugins}))
        return file

    @property
    def remembered(self) -> list[str]:
        """The names of the files of remembered attachments."""
        return sorted(file.name for file in self.cache.glob("results/*"))


class Probe:
    """The executable of a plugin that notes its calls."""

    def __init__(self, node: Node, name: str) -> None:
        self.here = node.host.state / f"of-{name}"
        (self.here / "calls").mkdir(parents=True)
        text = PROBE.format(python=sys.executable, root=str(ROOT), here=str(self.here))
        file = node.bin / name
        file.write_text(text)
        file.chmod(0o755)

    def does(self, command: str, code: str) -> None:
        """Have it execute ``code`` in the hook of a command."""
        (self.here / command).write_text(code)

    @property
    def calls(self) -> list[tuple[str, dict[str, str], dict[str, Any]]]:
        """The calls so far: command, variables, configuration."""
        told = [json.loads(file.read_text()) for file in sorted((self.here / "calls").iterdir())]
        return [(one["env"]["CNI_COMMAND"], one["env"], one["config"]) for one in told]

    @property
    def commands(self) -> list[str]:
        return [command for command, _, _ in self.calls]


@pytest.fixture
def node(host: Host) -> Node:
    return Node(host)


@pytest.fixture
def probe(node: Node) -> Probe:
    return node.probe()
