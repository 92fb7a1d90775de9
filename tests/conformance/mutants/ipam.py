"""A tiny IPAM plugin: a file for each address that is given."""

import contextlib
import fcntl
import ipaddress
import os
import sys
from collections.abc import Iterator

from tests.conformance.mutants.protocol import Call, Object, RefusedError, main, result


def directory(call: Call) -> str:
    """Return where the network's files are."""
    return f"{call.config['ipam']['dataDir']}/{call.config['name']}"


@contextlib.contextmanager
def locked(call: Call) -> Iterator[str]:
    """Have the files for oneself."""
    os.makedirs(directory(call), exist_ok=True)
    with open(f"{directory(call)}/lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield directory(call)


def owner(call: Call) -> str:
    """Return what an address belongs to."""
    return f"{call.id} {call.ifname}"


def pool(call: Call) -> list[str]:
    """Return all addresses."""
    ipam = call.config["ipam"]
    network = ipaddress.ip_network(ipam["subnet"])
    first = int(ipaddress.ip_address(ipam.get("rangeStart", str(network[2]))))
    last = int(ipaddress.ip_address(ipam.get("rangeEnd", str(network[-2]))))
    return [str(ipaddress.ip_address(number)) for number in range(first, last + 1)]


def owners(path: str) -> dict[str, str]:
    """Return who has which address."""
    found = {}
    for name in os.listdir(path):
        if name[0].isdigit() and "." in name:
            with open(f"{path}/{name}") as file:
                found[name] = file.read()
    return found


def take(path: str, address: str, who: str) -> None:
    """Reserve an address: at once or not at all."""
    with open(f"{path}/new", "w") as file:
        file.write(who)
    os.rename(f"{path}/new", f"{path}/{address}")


def add(call: Call) -> Object:
    """Give an address."""
    with locked(call) as path:
        taken = owners(path)
        free = [address for address in pool(call) if address not in taken]
        if not free:
            raise RefusedError(100, "no address is left")
        take(path, free[0], owner(call))
    network = ipaddress.ip_network(call.config["ipam"]["subnet"])
    ips = [{"address": f"{free[0]}/{network.prefixlen}", "gateway": str(network[1])}]
    return result(call, [], ips, {"routes": call.config["ipam"].get("routes") or []})


def delete(call: Call) -> None:
    """Take an address back."""
    with locked(call) as path:
        for address, who in owners(path).items():
            if who == owner(call):
                os.unlink(f"{path}/{address}")


def check(call: Call) -> None:
    """Look whether the container has an address."""
    with locked(call) as path:
        if owner(call) not in owners(path).values():
            raise RefusedError(101, "the container has no address")


def status(call: Call) -> None:
    """Say whether an address is left."""
    with locked(call) as path:
        if len(owners(path)) >= len(pool(call)):
            raise RefusedError(50, "no address is left")


def gc(call: Call) -> None:
    """Take the addresses of all that is not valid."""
    keep = [f"{identifier} {ifname}" for identifier, ifname in call.valid]
    with locked(call) as path:
        for address, who in owners(path).items():
            if who not in keep:
                os.unlink(f"{path}/{address}")


if __name__ == "__main__":
    sys.exit(
        main({"ADD": add, "DEL": delete, "CHECK": check, "STATUS": status, "GC": gc}),
    )
