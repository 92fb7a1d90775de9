"""What hurts users of the Go bridge and host-local, and must not hurt those of ours.

The bugs that whole plugins show, both together; each one's own tests hold the rest.
"""

import json
import math
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.host import OURS, REFERENCE, Container, Host, cni_variables
from tests.interop.makers import Go, Maker, Ours
from tests.interop.remains import remains

RANGES = [[{"subnet": "10.1.2.0/24"}], [{"subnet": "2001:db8::/64"}]]
V4, V6 = RANGES


def config(host: Host, version: str = "1.0.0", **keys: Any) -> dict[str, Any]:
    ipam = {
        "type": "host-local",
        "dataDir": str(host.state / "ipam"),
        "ranges": RANGES,
        **keys.pop("ipam", {}),
    }
    return {
        "cniVersion": version,
        "name": "net1",
        "type": "bridge",
        "bridge": "br0",
        "isDefaultGateway": True,
        "ipam": ipam,
        **keys,
    }


def done(maker: Maker, host: Host, command: str, conf: dict[str, Any], container: Container) -> Any:
    """Have a call succeed in silence but for its result; return that."""
    outcome = maker.call(host, command, conf, container)
    assert (outcome.status, outcome.stderr) == (0, ""), outcome
    return outcome.json if outcome.stdout else None


def tables(host: Host) -> list[str]:
    """Return the tables of nftables, to which iptables' belong."""
    listed = host.json("nft", "list", "tables")["nftables"]
    return [f"{e['table']['family']} {e['table']['name']}" for e in listed if "table" in e]


@pytest.mark.parametrize("gateways", [False, True])
def test_default_routes_of_ipam_do_not_meet_those_of_the_gateway(
    host: Host, ours: Ours, gateways: bool
) -> None:
    routes = [
        {"dst": "0.0.0.0/0", **({"gw": "10.1.2.1"} if gateways else {})},
        {"dst": "::/0", **({"gw": "2001:db8::1"} if gateways else {})},
    ]
    conf, container = config(host, ipam={"routes": routes}), host.container()

    result = done(ours, host, "ADD", conf, container)

    done(ours, host, "CHECK", {**conf, "prevResult": result}, container)
    for family, gateway in ((4, "10.1.2.1"), (6, "2001:db8::1")):
        [route] = container.json("ip", f"-{family}", "route", "show", "default")
        assert route["gateway"] == gateway


@pytest.mark.reference
@pytest.mark.parametrize("ranges", [[V4], [V6], RANGES], ids=["IPv4", "IPv6", "both"])
@pytest.mark.parametrize(("first", "second"), [("ours", "ours"), ("go", "ours"), ("ours", "go")])
def test_a_first_add_that_fails_does_not_spoil_the_bridge(
    host: Host, ours: Ours, first: str, second: str, ranges: list[Any]
) -> None:
    """The Go plugin's bridge loses its address with the port; then nobody's ADD can set it."""
    makers: dict[str, Maker] = {"ours": ours, "go": Go()}
    conf = config(host, ipam={"ranges": ranges})
    refused = {**conf, "runtimeConfig": {"ips": ["192.0.2.1"]}}
    fails, works = host.container(), host.container()
    assert makers[first].call(host, "ADD", refused, fails).status != 0
    fails.run("sh", "-c", "ip link delete eth0 2>&1 || true")
    assert "br0" in host.links()

    result = done(makers[second], host, "ADD", conf, works)

    known = {**conf, "prevResult": result}
    done(ours, host, "CHECK", known, works)
    done(ours, host, "DEL", known, works)
    assert remains(host) == []


@pytest.mark.parametrize("backend", ["iptables", "nftables"])
def test_an_add_that_fails_leaves_nothing_and_can_be_repeated(
    host: Host, ours: Ours, backend: str
) -> None:
    conf = config(host, ipMasq=True, ipMasqBackend=backend)
    # After everything else but masquerade, which is what the reference forgets first.
    unreachable = [{"dst": "192.0.2.0/24", "gw": "198.51.100.1"}]
    broken = {**conf, "ipam": {**conf["ipam"], "routes": unreachable}}
    container = host.container()

    outcome = ours.call(host, "ADD", broken, container)

    assert outcome.status != 0
    assert "198.51.100.1" in outcome.stdout
    assert remains(host) == []
    assert set(container.links()) == {"lo"}
    done(ours, host, "ADD", conf, container)


@pytest.mark.parametrize(("backend", "table"), [("nftables", "cni_plugins_masquerade")])
def test_no_call_makes_tables_that_another_backend_needs(
    host: Host, ours: Ours, backend: str, table: str
) -> None:
    conf = config(host, "1.1.0", ipMasq=True, ipMasqBackend=backend)
    container = host.container()

    result = done(ours, host, "ADD", conf, container)
    known = {**conf, "prevResult": result}
    for command in ("CHECK", "DEL", "DEL", "GC"):
        done(ours, host, command, {**known, "cni.dev/valid-attachments": []}, container)

    assert tables(host) == [f"inet {table}"]


def test_no_delete_makes_tables_on_a_host_without_a_firewall(host: Host, ours: Ours) -> None:
    container = host.container()
    done(ours, host, "ADD", config(host), container)

    done(ours, host, "DEL", config(host, ipMasq=True), container)

    assert tables(host) == []


def test_two_interfaces_of_a_container_end_one_after_the_other(host: Host) -> None:
    conf = config(host, ipMasq=True, ipMasqBackend="iptables")
    container = host.container()
    for ifname in ("eth0", "eth1"):
        host.plugin("bridge", "ADD", conf, container, ifname=ifname, path=OURS)

    host.plugin("bridge", "DEL", conf, container, ifname="eth0", path=OURS)

    rules = host.run("iptables-save", "-t", "nat").stdout
    assert "-s 10.1.2.2/32" not in rules
    assert "-s 10.1.2.3/32" in rules
    host.plugin("bridge", "DEL", conf, container, ifname="eth1", path=OURS)
    assert remains(host) == []


@pytest.mark.reference
@pytest.mark.parametrize(
    ("adding", "deleting"), [(OURS, REFERENCE), (REFERENCE, OURS)], ids=["ours-go", "go-ours"]
)
def test_a_container_on_two_networks_leaves_one_and_stays_on_the_other(
    host: Host, adding: str, deleting: str
) -> None:
    container = host.container()
    one = config(host)
    two = config(host, name="net2", bridge="br1", ipam={"ranges": [[{"subnet": "10.1.3.0/24"}]]})
    two |= {"isDefaultGateway": False, "isGateway": True}
    host.plugin("bridge", "ADD", one, container, path=adding)
    result = host.plugin("bridge", "ADD", two, container, ifname="net1", path=adding).json

    host.plugin("bridge", "DEL", one, container, path=deleting)

    assert {file.name for file in (host.state / "ipam").glob("net?/1*")} == {"10.1.3.2"}
    known = {**two, "prevResult": result}
    host.plugin("bridge", "CHECK", known, container, ifname="net1", path=OURS)
    host.plugin("bridge", "CHECK", known, container, ifname="net1", path=REFERENCE)


@pytest.mark.reference
def test_an_empty_reservation_of_the_reference_is_no_lost_address(host: Host, ours: Ours) -> None:
    """What a Go plugin killed between creating and writing leaves: skipped by it for ever."""
    conf = config(host, ipam={"ranges": [[{"subnet": "10.1.2.0/29", "rangeEnd": "10.1.2.3"}]]})
    stays = host.container()
    done(Go(), host, "ADD", conf, stays)
    Path(conf["ipam"]["dataDir"], "net1", "10.1.2.3").touch(mode=0o600)
    container = host.container()
    assert Go().call(host, "ADD", conf, container).status != 0
    container.run("sh", "-c", "ip link delete eth0 2>&1 || true")

    result = done(ours, host, "ADD", conf, container)

    assert [ip["address"] for ip in result["ips"]] == ["10.1.2.3/29"]


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_what_an_old_version_cannot_say_is_refused_and_still_deleted(
    host: Host, ours: Ours, version: str
) -> None:
    """The reference refuses to delete it too, for the same reason."""
    three = {"ranges": [V4, V6, [{"subnet": "10.1.3.0/24"}]]}
    new, old = config(host, ipam=three), config(host, version, ipam=three)
    container = host.container()

    outcome = ours.call(host, "ADD", old, container)

    assert "does not support more than 1 address per family" in outcome.stdout
    assert remains(host) == []
    done(ours, host, "ADD", new, container)
    done(ours, host, "DEL", old, container)
    assert remains(host) == []


def test_what_resolv_conf_says_is_in_the_result_of_the_bridge(host: Host, ours: Ours) -> None:
    """Older releases of the reference lose it on the way."""
    resolv_conf = host.state / "resolv.conf"
    resolv_conf.write_text("nameserver 192.0.2.53\nsearch a.example b.example\noptions ndots:2\n")
    conf = config(host, ipam={"resolvConf": str(resolv_conf)})

    result = done(ours, host, "ADD", conf, host.container())

    assert result["dns"] == {
        "nameservers": ["192.0.2.53"],
        "search": ["a.example", "b.example"],
        "options": ["ndots:2"],
    }


def test_no_address_of_an_interface_is_anybodys_to_change(host: Host, ours: Ours) -> None:
    """Where udev gives interfaces addresses of its own choice, it does so after ADD has reported.

    It leaves alone what somebody has set.
    """
    result = done(ours, host, "ADD", config(host), host.container())

    for interface in result["interfaces"][:2]:
        of = f"/sys/class/net/{interface['name']}/addr_assign_type"
        shown = host.run(
            *("unshare", "--mount", "sh", "-c", 'mount -t sysfs sysfs /sys && cat "$0"', of)
        )
        assert shown.stdout == "3\n"  # NET_ADDR_SET


# -- what is ready, and when ---------------------------------------------------------------

_SLEEP = re.compile(r"nanosleep\(|futex\(.* ETIMEDOUT ")
_EXPIRED = re.compile(r"(poll|select6?|epoll_p?wait)\(.*\) *= 0\b")
_PERIOD = re.compile(r", (?P<ms>\d+)\) *= 0|tv_sec=(?P<s>\d+), tv_(?P<unit>[nu]sec)=(?P<part>\d+)")


def expired_after(call: str) -> float:
    """Return after how many milliseconds a traced wait ended, infinity if something ended it."""
    if not _EXPIRED.search(call):
        return math.inf
    period = _PERIOD.search(call)
    assert period, call
    if period["ms"]:
        return float(period["ms"])
    return 1e3 * int(period["s"]) + int(period["part"]) / {"nsec": 1e6, "usec": 1e3}[period["unit"]]


@pytest.mark.parametrize(
    ("statement", "sleeps"),
    [
        ("time.sleep(0.05)", True),
        ("select.select([], [], [], 0.05)", True),
        ("select.poll().poll(50)", True),
        ("p = select.poll(); p.register(os.pipe()[0]); p.poll(50)", True),
        ("select.epoll().poll(0.05)", True),
        ("import threading; threading.Event().wait(0.05)", True),
        ("r, w = os.pipe(); os.write(w, b'.'); select.select([r], [], [], 0.05)", False),
        ("select.poll().poll(0)", False),
    ],
)
def test_sleeping_would_be_seen(host: Host, statement: str, sleeps: bool) -> None:
    program = f"import os, select, time; {statement}"

    traced = waits(host, [sys.executable, "-I", "-c", program])

    assert bool(naps(traced)) == sleeps, traced


def test_no_add_sleeps(host: Host) -> None:
    """A fresh dual-stack bridge, where the reference polls for addresses every 50 ms."""
    container = host.container()
    environ = {
        **cni_variables("ADD", container, OURS),
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    }
    conf = config(host, ipMasq=True)

    traced = waits(host, [f"{OURS}/bridge"], stdin=json.dumps(conf), env=environ)

    assert any("poll(" in call for call in traced)
    assert naps(traced) == []


def waits(
    host: Host, argv: list[str], *, stdin: str = "", env: dict[str, str] | None = None
) -> list[str]:
    """Execute a program and return the system calls by which it and its children may wait."""
    strace = shutil.which("strace")
    assert strace, "strace is not installed"
    calls = "nanosleep,clock_nanosleep,futex,poll,ppoll,select,pselect6,epoll_wait,epoll_pwait"
    # A file for each process, in which no call is interrupted by another's.
    log = host.state / "strace"
    host.run(strace, "-ff", "-qq", "-o", log, "-e", f"trace={calls}", *argv, input=stdin, env=env)
    return [line for file in log.parent.glob("strace.*") for line in file.read_text().splitlines()]


def naps(traced: list[str]) -> list[str]:
    """Return the waits that are sleep: none can end them, or they end to look and go on.

    What listens for an event looks up every 200 ms; a busy machine may let that happen.
    """
    return [c for c in traced if _SLEEP.search(c) or 0 < expired_after(c) < 200]


def test_addresses_of_a_fresh_bridge_are_ready_when_add_returns(host: Host) -> None:
    container = host.container()

    host.plugin("bridge", "ADD", config(host), container, path=OURS)

    found = {
        address["local"]: address
        for where, name in ((host, "br0"), (container, "eth0"))
        for link in where.json("ip", "-6", "addr", "show", "dev", name)
        for address in link["addr_info"]
    }
    assert {"2001:db8::1", "2001:db8::2"} <= found.keys()
    assert len([local for local in found if local.startswith("fe80:")]) == 2  # one an interface
    waiting = [a for a in found.values() if a.get("tentative") or a.get("dadfailed")]
    assert waiting == []
    container.run("ping", "-6", "-c", "1", "-W", "1", "2001:db8::1")
    container.run("ping", "-4", "-c", "1", "-W", "1", "10.1.2.1")
