"""The import budget: a runtime starts the executable for every call and waits for it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.house.tree import ROOT, python

TOO_MUCH = {"click", "logging", "asyncio", "subprocess", "argparse", "unittest"}

# net serves launchers and tools that have nothing to do with pydantic; only running nft and
# iptables takes a process.
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
        json.dump(sorted(sys.modules), file)
    leave(status)
leave, os._exit = os._exit, end
"""


def loaded_by(code: str) -> set[str]:
    """Return the modules in a fresh interpreter after ``code``, beyond a bare one's."""
    ending = "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    bare = set(json.loads(python("import json" + ending)))
    return set(json.loads(python(code + ending))) - bare


def loaded_by_call(
    plugin: str, config: dict[str, Any], tmp_path: Path, **variables: str
) -> set[str]:
    """Return what a whole call of ``module:Class`` loads, as the executable would."""
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
    python(code, str(seen))
    return set(json.loads(seen.read_text()))


def tops(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_importing_cnisdk_loads_nothing_else() -> None:
    assert loaded_by("import cnisdk") == {"cnisdk"}


def test_version_stays_within_the_budget(tmp_path: Path) -> None:
    loaded = loaded_by_call("cni_bridge:Bridge", {}, tmp_path, CNI_COMMAND="VERSION")

    assert tops(loaded - loaded_by(PYDANTIC)) & TOO_MUCH == set()


@pytest.mark.parametrize("command", ["ADD", "CHECK", "DEL"])
def test_a_whole_call_stays_within_the_budget(command: str, tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "cniVersion": "1.1.0",
        "name": "n",
        "type": "host-local",
        "ipam": {"type": "host-local", "subnet": "10.1.0.0/24", "dataDir": str(tmp_path / "data")},
    }
    parameters = {
        "CNI_CONTAINERID": "c",
        "CNI_NETNS": "/proc/self/ns/net",
        "CNI_NETNS_OVERRIDE": "1",
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/nowhere",
    }
    if command != "ADD":
        loaded_by_call(
            "cni_host_local:HostLocal", config, tmp_path, **parameters, CNI_COMMAND="ADD"
        )
        assert list(tmp_path.glob("data/n/10.1.0.*")), "nothing was reserved"

    loaded = loaded_by_call(
        "cni_host_local:HostLocal", config, tmp_path, **parameters, CNI_COMMAND=command
    )

    assert tops(loaded - loaded_by(PYDANTIC)) & TOO_MUCH == set()


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
