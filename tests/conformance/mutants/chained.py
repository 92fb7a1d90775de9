"""A tiny chained plugin: sets the MTU of the container's interface, and remembers what it was."""

import json
import os
import sys

from tests.conformance.mutants.protocol import Call, Object, RefusedError, main, run

DIRECTORY = "/run/tiny-chained"


def memory(identifier: str, ifname: str) -> str:
    """Return the file in which the old MTU is."""
    return f"{DIRECTORY}/{identifier}:{ifname}"


def ip(call: Call, *argv: str) -> str:
    """Execute ip in the container."""
    return run("ip", "-n", os.path.basename(call.netns), *argv)


def mtu(call: Call) -> int:
    """Return the MTU of the interface."""
    (link,) = json.loads(ip(call, "-j", "link", "show", call.ifname))
    found: int = link["mtu"]
    return found


def add(call: Call) -> Object:
    """Set the MTU; return the result that came."""
    if not call.prev:
        raise RefusedError(7, "no prevResult")
    os.makedirs(DIRECTORY, exist_ok=True)
    with open(memory(call.id, call.ifname), "w") as file:
        json.dump([call.config["name"], mtu(call)], file)
    ip(call, "link", "set", call.ifname, "mtu", str(call.config.get("mtu", 1400)))
    return {**call.prev, "cniVersion": call.version}


def delete(call: Call) -> None:
    """Give the MTU back, if there is anything to give it back to."""
    path = memory(call.id, call.ifname)
    if not os.path.exists(path):
        return
    with open(path) as file:
        old = (json.loads(file.read() or "[]") or ["", 1500])[1]
    if call.netns and os.path.exists(call.netns):
        ip(call, "link", "set", call.ifname, "mtu", str(old))
    os.unlink(path)


def check(call: Call) -> None:
    """Compare the MTU with the one that was set."""
    if mtu(call) != call.config.get("mtu", 1400):
        raise RefusedError(101, "the MTU has changed")


def status(call: Call) -> None:
    """Say that ADD would work."""


def gc(call: Call) -> None:
    """Forget what is not valid."""
    keep = [memory(identifier, ifname) for identifier, ifname in call.valid]
    for name in os.listdir(DIRECTORY) if os.path.isdir(DIRECTORY) else ():
        path = f"{DIRECTORY}/{name}"
        with open(path) as file:
            network = json.loads(file.read() or '[""]')[0]
        if network == call.config["name"] and path not in keep:
            os.unlink(path)


if __name__ == "__main__":
    sys.exit(
        main({"ADD": add, "DEL": delete, "CHECK": check, "STATUS": status, "GC": gc}),
    )
