"""What the tiny plugins share: parameters, configuration, errors, VERSION, delegation.

Nothing of cnisdk, nothing but the standard library: a witness of its own.  A mutant replaces a
piece of this text, so lines are short and say one thing each.
"""

import json
import os
import re
import select
import subprocess
from collections.abc import Callable
from typing import Any

VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]

REQUIRED = {
    "ADD": ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
    "DEL": ["CNI_CONTAINERID", "CNI_IFNAME"],
    "CHECK": ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
    "GC": ["CNI_PATH"],
    "STATUS": [],
    "VERSION": [],
}

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

Object = dict[str, Any]
Verbs = dict[str, Callable[["Call"], Object | None]]


class RefusedError(Exception):
    """Ends a call with an error object."""

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg


class Call:
    """Parameters and configuration of one call."""

    def __init__(self) -> None:
        self.command = os.environ.get("CNI_COMMAND", "")
        self.id = os.environ.get("CNI_CONTAINERID", "")
        self.netns = os.environ.get("CNI_NETNS", "")
        self.ifname = os.environ.get("CNI_IFNAME", "")
        self.path = os.environ.get("CNI_PATH", "")
        self.stdin = b""
        self.version = VERSIONS[-1]
        self.config: Object = {}

    @property
    def prev(self) -> Object:
        """prevResult."""
        return self.config.get("prevResult") or {}

    @property
    def valid(self) -> list[tuple[str, str]]:
        """The attachments that GC has to keep."""
        listed = self.config.get("cni.dev/valid-attachments") or []
        return [(item["containerID"], item["ifname"]) for item in listed]


def main(verbs: Verbs) -> int:
    """Serve the call; return the exit status."""
    call = Call()
    try:
        answer = serve(call, verbs)
    except RefusedError as err:
        error = {"cniVersion": call.version, "code": err.code, "msg": err.msg}
        write(1, error)
        return 1
    if answer is not None:
        write(1, answer)
    return 0


def write(fd: int, value: Object) -> None:
    """Write a JSON object."""
    os.write(fd, json.dumps(value).encode())


def serve(call: Call, verbs: Verbs) -> Object | None:
    """Do what is asked and return the answer."""
    check_parameters(call)
    if call.command == "VERSION":
        return version(call)
    call.stdin = read()
    decode(call)
    return verbs[call.command](call)


def check_parameters(call: Call) -> None:
    """Refuse variables that are missing or malformed."""
    if call.command not in REQUIRED:
        raise RefusedError(4, f"unknown CNI_COMMAND {call.command}")
    missing = [name for name in REQUIRED[call.command] if not os.environ.get(name)]
    if missing:
        raise RefusedError(4, f"missing: {' '.join(missing)}")
    if call.id and not NAME.fullmatch(call.id):
        raise RefusedError(4, f"CNI_CONTAINERID is malformed: {call.id}")
    if len(call.ifname) > 15 or "/" in call.ifname:
        raise RefusedError(4, f"CNI_IFNAME is malformed: {call.ifname}")


def read() -> bytes:
    """Read stdin to its end."""
    data = b""
    try:
        while chunk := os.read(0, 1 << 16):
            data += chunk
    except OSError as err:
        raise RefusedError(5, f"stdin: {err}") from err
    return data


def decode(call: Call) -> None:
    """Understand the configuration as far as it is the same for all."""
    try:
        config = json.loads(call.stdin)
    except ValueError as err:
        raise RefusedError(6, f"no JSON: {err}") from err
    given = config.get("cniVersion", "0.1.0")
    if given not in VERSIONS:
        raise RefusedError(1, f"no version {given}")
    call.version = given
    name = config.get("name", "")
    if not name:
        raise RefusedError(7, "the network has no name")
    if not NAME.fullmatch(name):
        raise RefusedError(7, f"malformed name {name}")
    call.config = config


def version(call: Call) -> Object:
    """Answer VERSION, whatever stdin is like."""
    try:
        ready = select.select([0], [], [], 0.05)[0]
        asked = json.loads(os.read(0, 4096) if ready else b"{}").get("cniVersion")
    except (OSError, ValueError):
        asked = None
    return {"cniVersion": asked or call.version, "supportedVersions": VERSIONS}


def result(call: Call, interfaces: list[Object], ips: list[Object], more: Object) -> Object:
    """Return a result in the version that is asked for."""
    wire: Object = {"cniVersion": call.version}
    if call.version in ("0.1.0", "0.2.0"):
        for ip in ips:
            kept = {"ip": ip["address"], "routes": more.get("routes") or []}
            if ip.get("gateway"):
                kept["gateway"] = ip["gateway"]
            wire["ip4"] = kept
        return {**wire, "dns": more.get("dns") or {}}
    if call.version.startswith("0."):
        ips = [{"version": "4", **ip} for ip in ips]
    if interfaces:
        wire["interfaces"] = interfaces
    return {**wire, "ips": ips, **more}


def delegate(call: Call, command: str) -> Object:
    """Execute the IPAM plugin; return its result in the form of 1.1.0."""
    plugin = (call.config.get("ipam") or {}).get("type")
    if not plugin:
        return {}
    for directory in call.path.split(":"):
        if os.path.exists(f"{directory}/{plugin}"):
            break
    else:
        raise RefusedError(4, f"{plugin} is not in CNI_PATH")
    environ = {**os.environ, "CNI_COMMAND": command}
    done = subprocess.run(
        [f"{directory}/{plugin}"], input=call.stdin, env=environ, stdout=-1, check=False
    )
    if done.returncode != 0:
        raise RefusedError(json.loads(done.stdout)["code"], f"{plugin}: {done.stdout.decode()}")
    return given(json.loads(done.stdout or b"{}"))


def given(wire: Object) -> Object:
    """Return an IPAM plugin's result in the form of 1.1.0."""
    if "ip4" in wire:
        ip = wire["ip4"]
        ips = [{"address": ip["ip"], "gateway": ip["gateway"]}]
        return {"ips": ips, "routes": ip["routes"], "dns": wire["dns"]}
    for ip in wire.get("ips", ()):
        ip.pop("version", None)
    return wire


def run(*argv: str, stdin: str = "", fail: bool = True) -> str:
    """Execute a tool; with ``fail`` its failure ends the call."""
    path = "/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ.get("PATH", "")
    done = subprocess.run(
        argv, input=stdin.encode(), capture_output=True, check=False, env={"PATH": path}
    )
    if fail and done.returncode != 0:
        raise RefusedError(100, f"{argv[0]}: {done.stderr.decode()}")
    return done.stdout.decode() if done.returncode == 0 else ""
