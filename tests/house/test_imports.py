"""The import budget: a runtime starts the executable for every call and waits for it."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.host import CNI_PATH, Container, Host
from tests.house.tree import ROOT, python

TOO_MUCH = {"click", "logging", "asyncio", "subprocess", "argparse", "unittest"}

# pydantic is for who has to be told what is wrong, and the other two for what loads it.
TOO_MUCH_FOR_CALL = TOO_MUCH | {"pydantic", "pydantic_core", "dataclasses", "inspect"}
TOO_MUCH_FOR_CALL |= {"signal", "socket", "threading", "tempfile", "pathlib", "traceback"}

# Only running nft and iptables takes a process.
TOO_MUCH_FOR_NET = TOO_MUCH | {"pydantic", "dataclasses"}
RUNS_PROGRAMS = {"nft", "iptables", "execute"}

NET = sorted(path.stem for path in ROOT.glob("cnisdk/net/*.py") if path.stem != "__init__")

PYDANTIC = """
from pydantic import BaseModel
class Model(BaseModel):
    number: int
Model.model_validate({"number": 1})
"""

# main() ends by os._exit, which no atexit survives.
AT_THE_END = """
import json, os, sys
def end(status):
    sys.stderr.flush()
    with open(sys.argv[1], "w") as file:
        json.dump([status, sorted(sys.modules)], file)
    leave(0)
leave, os._exit = os._exit, end
"""


class Called(NamedTuple):
    """What a whole call answered and loaded."""

    status: int
    json: Any
    modules: set[str]


def loaded_by(code: str) -> set[str]:
    """Return the modules in a fresh interpreter after ``code``, beyond a bare one's."""
    ending = "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    bare = set(json.loads(python("import json" + ending)))
    return set(json.loads(python(code + ending))) - bare


def call(plugin: str, config: dict[str, Any], tmp_path: Path, **variables: str) -> Called:
    """Make a whole call of ``module:Class``, as the executable would."""
    module, _, name = plugin.partition(":")
    seen = tmp_path / "modules.json"
    code = f"""{AT_THE_END}
os.environ.update({variables!r})
fd = os.memfd_create("stdin")
os.write(fd, {json.dumps(config).encode()!r})
os.lseek(fd, 0, os.SEEK_SET)
os.dup2(fd, 0)
from cnisdk.runner import main
from {module} import {name}
main({name})
"""
    out = python(code, str(seen))
    status, modules = json.loads(seen.read_text())
    return Called(status, json.loads(out) if out else None, set(modules))


class Network(NamedTuple):
    """A network, and a container that is to be attached to it."""

    host: Host
    container: Container
    plugin: str
    config: dict[str, Any]

    def call(self, command: str, **keys: Any) -> Called:
        with self.host.inside():
            return call(
                self.plugin,
                {**self.config, **keys},
                self.host.state,
                CNI_COMMAND=command,
                CNI_CONTAINERID=self.container.id,
                CNI_NETNS=self.container.path,
                CNI_IFNAME="eth0",
                CNI_PATH=CNI_PATH,
            )


@pytest.fixture(params=["cni_bridge:Bridge", "cni_host_local:HostLocal"])
def network(request: pytest.FixtureRequest, host: Host) -> Network:
    config = {
        "cniVersion": "1.1.0",
        "name": "n",
        "type": "bridge",
        "bridge": "br0",
        "isGateway": True,
        "mtu": 1400,
        "ipam": {
            "type": "host-local",
            "dataDir": str(host.state / "data"),
            "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
        "dns": {"nameservers": ["10.1.0.1"]},
        "runtimeConfig": {"portMappings": [{"hostPort": 80, "containerPort": 80}]},
        "args": {"cni": {"labels": [{"key": "app", "value": "é"}]}},
    }
    return Network(host, host.container(), request.param, config)


def tops(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_importing_cnisdk_loads_nothing_else() -> None:
    assert loaded_by("import cnisdk") == {"cnisdk"}


def test_version_stays_within_the_budget(tmp_path: Path) -> None:
    called = call("cni_bridge:Bridge", {}, tmp_path, CNI_COMMAND="VERSION")

    assert called.json["supportedVersions"]
    assert tops(called.modules) & TOO_MUCH_FOR_CALL == set()


def test_a_whole_call_stays_within_the_budget(network: Network) -> None:
    """An attachment from its beginning to its end."""
    added = network.call("ADD")
    checked = network.call("CHECK", prevResult=added.json)
    deleted = network.call("DEL", prevResult=added.json)

    assert added.json["ips"][0]["address"] == "10.1.0.2/24"
    for called in (added, checked, deleted):
        assert called.status == 0, called.json
        assert tops(called.modules) & TOO_MUCH_FOR_CALL == set()
        assert "cnisdk.console" not in called.modules


def test_pydantic_is_loaded_to_explain_a_configuration(network: Network) -> None:
    called = network.call("ADD", dns={"nameservers": [5]})

    assert (called.status, called.json["code"]) == (1, 7)
    assert "$.dns.nameservers[0]: 5 should be a valid string" in called.json["details"]
    assert "pydantic" in called.modules
    assert tops(called.modules - loaded_by(PYDANTIC)) & TOO_MUCH == set()


@pytest.mark.parametrize("name", NET)
def test_a_module_of_net_stays_within_the_budget(name: str) -> None:
    too_much = TOO_MUCH_FOR_NET - ({"subprocess"} if name in RUNS_PROGRAMS else set())

    assert tops(loaded_by(f"import cnisdk.net.{name}")) & too_much == set()


@pytest.mark.parametrize("name", NET)
def test_net_knows_nothing_of_the_rest(name: str) -> None:
    ours = {m for m in loaded_by(f"import cnisdk.net.{name}") if m.startswith("cnisdk.")}

    assert {m for m in ours if not m.startswith("cnisdk.net")} <= {"cnisdk.cancel"}


def test_everything_but_net_is_importable_off_linux() -> None:
    """A stand-in for Windows: its platform name, and none of the modules it lacks."""
    code = f"""
import asyncio, ctypes, ctypes.util, importlib.metadata, json, platform, selectors, shutil
import signal, socket, subprocess, sys, tempfile, threading, traceback, compileall, argparse
import click, pydantic
{PYDANTIC}
from pathlib import Path

class NoLinux:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("cnisdk.net.") and name != "cnisdk.net.execute":
            raise ImportError(f"{{name}} needs Linux")

sys.meta_path.insert(0, NoLinux())
sys.platform = "win32"
for name in ("fcntl", "pwd", "grp", "resource", "termios", "syslog"):
    sys.modules[name] = None

root = Path({str(ROOT)!r})
failed = {{}}
for path in sorted(root.glob("cnisdk/**/*.py")):
    if path.is_relative_to(root / "cnisdk" / "net") or path.name == "__main__.py":
        continue
    name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    try:
        importlib.import_module(name)
    except ImportError as err:
        failed[name] = str(err)
print(json.dumps(failed))
"""
    assert json.loads(python(code)) == {}
