"""The hooks, called through the runner in this process."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.host import Container, Host, Outcome

Call = Callable[..., Outcome]


@pytest.fixture
def container(host: Host) -> Container:
    return host.container()


@pytest.fixture
def network(tmp_path: Path) -> dict[str, Any]:
    return {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "bridge",
        "ipam": {
            "type": "host-local",
            "dataDir": str(tmp_path / "data"),
            "ranges": [[{"subnet": "10.1.2.0/24"}]],
        },
    }


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data" / "net"


def _with(network: dict[str, Any], **ipam: Any) -> dict[str, Any]:
    return {**network, "ipam": {**network["ipam"], **ipam}}


def _ips(outcome: Outcome) -> list[str]:
    assert outcome.status == 0, outcome
    return [ip["address"] for ip in outcome.json["ips"]]


def _reservations(directory: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in directory.iterdir()
        if path.name != "lock" and not path.name.startswith("last_reserved_ip.")
    }


# -- ADD -----------------------------------------------------------------------------------


def test_add_gives_one_address_of_each_set(
    call: Call, network: dict[str, Any], container: Container, directory: Path, tmp_path: Path
) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.3\n")
    routes = [
        {"dst": "0.0.0.0/0"},
        {"dst": "192.168.0.0/16", "gw": "10.10.5.1", "mtu": 1400, "priority": 7, "table": 0},
        {"dst": "2001:db8::/32", "advmss": 1300, "scope": 0},
    ]
    config = _with(
        network,
        ranges=[
            [{"subnet": "10.1.2.0/24", "rangeEnd": "10.1.2.3"}, {"subnet": "10.2.2.0/24"}],
            [{"subnet": "2001:db8:1::/64", "gateway": "2001:db8:1::f"}],
        ],
        routes=routes,
        resolvConf=str(tmp_path / "resolv.conf"),
    )

    done = call("ADD", config, container)

    assert done.json == {
        "cniVersion": "1.1.0",
        "ips": [
            {"address": "10.1.2.2/24", "gateway": "10.1.2.1"},
            {"address": "2001:db8:1::1/64", "gateway": "2001:db8:1::f"},
        ],
        "routes": routes,
        "dns": {"nameservers": ["192.0.2.3"]},
    }
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == {
        "10.1.2.2": f"{container.id}\r\neth0".encode(),
        "2001:db8:1::1": f"{container.id}\r\neth0".encode(),
        "last_reserved_ip.0": b"10.1.2.2",
        "last_reserved_ip.1": b"2001:db8:1::1",
        "lock": b"",
    }


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (
            "0.2.0",
            {
                "cniVersion": "0.2.0",
                "ip4": {
                    "ip": "10.1.2.2/24",
                    "gateway": "10.1.2.1",
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
                "dns": {},
            },
        ),
        (
            "0.3.1",
            {
                "cniVersion": "0.3.1",
                "ips": [{"version": "4", "address": "10.1.2.2/24", "gateway": "10.1.2.1"}],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dns": {},
            },
        ),
        (
            "1.0.0",
            {
                "cniVersion": "1.0.0",
                "ips": [{"address": "10.1.2.2/24", "gateway": "10.1.2.1"}],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        ),
    ],
)
def test_add_answers_in_the_version_it_is_asked_in(
    call: Call,
    network: dict[str, Any],
    container: Container,
    version: str,
    expected: dict[str, Any],
) -> None:
    config = _with({**network, "cniVersion": version}, routes=[{"dst": "0.0.0.0/0"}])

    assert call("ADD", config, container).json == expected


def test_a_runtimes_ranges_come_first_then_the_single_one(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    config = _with(network, subnet="10.5.0.0/24", rangeStart="10.5.0.7", gateway="10.5.0.9")
    config["runtimeConfig"] = {"ipRanges": [[{"subnet": "fd00::/64"}], [{"subnet": "10.6.0.0/24"}]]}

    done = call("ADD", config, container)

    assert _ips(done) == ["fd00::2/64", "10.6.0.2/24", "10.5.0.7/24", "10.1.2.2/24"]
    assert (directory / "last_reserved_ip.2").read_bytes() == b"10.5.0.7"


def test_keys_match_whatever_their_case(
    call: Call, network: dict[str, Any], container: Container
) -> None:
    data_dir = network["ipam"]["dataDir"]
    config = {
        **{k: v for k, v in network.items() if k != "ipam"},
        "IPAM": {
            "Type": "host-local",
            "datadir": data_dir,
            "Ranges": [[{"SUBNET": "10.1.2.0/24", "rangestart": "10.1.2.9"}]],
        },
        "RuntimeConfig": {"IPs": ["10.1.2.77"]},
    }

    assert _ips(call("ADD", config, container)) == ["10.1.2.77/24"]


@pytest.mark.parametrize(
    ("args", "cni", "capability", "expected"),
    [
        ("IP=10.1.2.9", [], [], ["10.1.2.9/24", "fd00::2/64"]),
        ("FOO=1;IP=10.1.2.9/32;IgnoreUnknown=1", [], [], ["10.1.2.9/24", "fd00::2/64"]),
        ("ip=10.1.2.9", [], [], ["10.1.2.2/24", "fd00::2/64"]),
        ("", ["10.1.2.9/24"], [], ["10.1.2.9/24", "fd00::2/64"]),
        ("", [], ["fd00::9", "10.1.2.9"], ["10.1.2.9/24", "fd00::9/64"]),
        ("", ["10.1.2.9"], ["fd00::9/64"], ["10.1.2.9/24", "fd00::9/64"]),
        ("IP=fd00::9", ["10.1.2.9"], [], ["10.1.2.9/24", "fd00::9/64"]),
        ("IP=10.1.2.8", ["10.1.2.9"], [], ["10.1.2.9/24", "fd00::2/64"]),
        ("IP=10.1.2.9", ["10.1.2.9"], ["10.1.2.9"], ["10.1.2.9/24", "fd00::2/64"]),
        ("IP=::ffff:10.1.2.9", [], [], ["10.1.2.9/24", "fd00::2/64"]),
    ],
)
def test_addresses_that_are_asked_for_are_given(
    call: Call,
    network: dict[str, Any],
    container: Container,
    args: str,
    cni: list[str],
    capability: list[str],
    expected: list[str],
) -> None:
    config = _with(network, ranges=[[{"subnet": "10.1.2.0/24"}], [{"subnet": "fd00::/64"}]])
    config |= {"args": {"cni": {"ips": cni}}, "runtimeConfig": {"ips": capability}}

    assert _ips(call("ADD", config, container, args=args)) == expected


@pytest.mark.parametrize(
    ("args", "ips", "code", "msg"),
    [
        (
            "IP=10.1.2.300",
            [],
            4,
            'ARGS: error parsing value of pair "IP=10.1.2.300": invalid IP address 10.1.2.300',
        ),
        ("", ["nonsense"], 7, "invalid IP address nonsense"),
        ("", ["10.9.9.9"], 101, "failed to allocate all requested IPs: 10.9.9.9"),
        ("", ["10.1.2.8", "10.1.2.9"], 101, "failed to allocate all requested IPs: 10.1.2.9"),
        (
            "IP=10.1.2.1",
            [],
            101,
            "failed to allocate for range 0: requested ip 10.1.2.1 is subnet's gateway",
        ),
    ],
)
def test_an_address_that_cannot_be_had_fails_the_add_and_leaves_nothing(
    call: Call,
    network: dict[str, Any],
    container: Container,
    directory: Path,
    args: str,
    ips: list[str],
    code: int,
    msg: str,
) -> None:
    config = {**network, "runtimeConfig": {"ips": ips}}

    done = call("ADD", config, container, args=args)

    assert (done.json["code"], done.json["msg"]) == (code, msg)
    assert not directory.exists() or _reservations(directory) == {}


def test_an_add_that_fails_in_a_later_set_leaves_nothing(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    config = _with(network, ranges=[[{"subnet": "10.1.2.0/24"}], [{"subnet": "10.2.0.0/30"}]])
    _ips(call("ADD", config, container, container_id="first"))
    before = _reservations(directory)

    done = call("ADD", config, container)

    assert done.json["code"] == 100
    assert done.json["msg"] == (
        "failed to allocate for range 1: no IP addresses available in range set: 10.2.0.1-10.2.0.2"
    )
    assert _reservations(directory) == before


def test_an_add_whose_answer_nobody_reads_leaves_nothing(
    network: dict[str, Any], host: Host, container: Container, directory: Path
) -> None:
    environ = {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": container.id,
        "CNI_NETNS": container.path,
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/nowhere",
    }
    done = host.run(
        *("sh", "-c", 'exec "$0" >/dev/full', host.find("host-local")),
        input=json.dumps(network),
        env=environ,
        check=False,
    )

    assert done.returncode != 0
    assert _reservations(directory) == {}


@pytest.mark.parametrize("args", ["", "IP=10.1.2.7"])
def test_a_second_add_of_an_attachment_is_refused_and_harms_not_the_first(
    call: Call, network: dict[str, Any], container: Container, directory: Path, args: str
) -> None:
    call("ADD", network, container)
    before = _reservations(directory)

    done = call("ADD", network, container, args=args)

    assert done.json["code"] == 102
    assert done.json["msg"] == (
        f"failed to allocate for range 0: 10.1.2.2 has been allocated to {container.id}, "
        "duplicate allocation is not allowed"
    )
    assert _reservations(directory) == before


def test_another_interface_of_a_container_gets_an_address_of_its_own(
    call: Call, network: dict[str, Any], container: Container
) -> None:
    first = call("ADD", network, container)
    second = call("ADD", network, container, ifname="eth1")

    assert (_ips(first), _ips(second)) == (["10.1.2.2/24"], ["10.1.2.3/24"])


def test_a_missing_resolv_conf_fails_the_add(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    done = call("ADD", _with(network, resolvConf="/no/such"), container)

    assert done.json["code"] == 5
    assert done.json["msg"] == "open /no/such: no such file or directory"
    assert not directory.exists()


def test_parallel_adds_get_different_addresses(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    got: list[str] = []

    def add(number: int) -> None:
        got.extend(_ips(call("ADD", network, container, container_id=f"c{number}")))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(got)) == len(got) == 100
    assert len(_reservations(directory)) == 100


# -- configurations that make no sense -----------------------------------------------------

BAD_RANGES = [
    ({"ranges": []}, "no IP ranges specified", "$.ipam.ranges"),
    ({"ranges": [[]]}, "invalid range set 0: empty range set", "$.ipam.ranges[0]"),
    (
        {"ranges": [[{}]]},
        "invalid range set 0: IP <nil> not v4 nor v6",
        "$.ipam.ranges[0][0].subnet is missing",
    ),
    (
        {"ranges": [[{"subnet": "10.1.2.0/24"}, {"subnet": "foo"}]]},
        "invalid CIDR address: foo",
        '$.ipam.ranges[0][1].subnet: "foo"',
    ),
    (
        {"ranges": [[{"subnet": "10.1.2.0/31"}]]},
        "invalid range set 0: Network 10.1.2.0/31 too small to allocate from",
        '$.ipam.ranges[0][0].subnet: "10.1.2.0/31"',
    ),
    (
        {"subnet": "10.5.0.0/24", "rangeEnd": "10.6.0.1"},
        "invalid range set 0: RangeEnd 10.6.0.1 not in network 10.5.0.0/24",
        '$.ipam.rangeEnd: "10.6.0.1"',
    ),
    (
        {"ranges": [[{"subnet": "10.1.2.0/24"}, {"subnet": "fd00::/64"}]]},
        "invalid range set 0: mixed address families",
        "$.ipam.ranges[0]",
    ),
    (
        {"ranges": [[{"subnet": "10.1.0.0/16"}], [{"subnet": "10.1.2.0/24"}]]},
        "range set 0 overlaps with 1",
        "$.ipam.ranges[0]: 10.1.0.1-10.1.255.254; $.ipam.ranges[1]: 10.1.2.1-10.1.2.254",
    ),
]


@pytest.mark.parametrize(("ipam", "msg", "details"), BAD_RANGES)
def test_ranges_that_make_no_sense_are_named(
    call: Call,
    network: dict[str, Any],
    container: Container,
    directory: Path,
    ipam: dict[str, Any],
    msg: str,
    details: str,
) -> None:
    done = call("ADD", _with(network, **ipam), container)

    assert (done.json["code"], done.json["msg"]) == (7, msg)
    assert done.json["details"] == details
    assert not directory.exists()


@pytest.mark.parametrize(("ipam", "msg", "details"), BAD_RANGES)
def test_delete_releases_whatever_the_ranges_are(
    call: Call,
    network: dict[str, Any],
    container: Container,
    directory: Path,
    ipam: dict[str, Any],
    msg: str,
    details: str,
) -> None:
    call("ADD", network, container)

    done = call("DEL", _with(network, **ipam), container)

    assert done == (0, "", "")
    assert _reservations(directory) == {}


def test_delete_releases_under_a_configuration_of_wrong_types_and_says_so(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    call("ADD", network, container)

    done = call("DEL", _with(network, ranges=5, routes="none"), container)

    assert done.json["code"] == 7
    assert _reservations(directory) == {}


def test_an_old_version_has_one_address_of_a_family(
    call: Call, network: dict[str, Any], container: Container
) -> None:
    ranges = [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00::/64"}]]
    old = {**network, "cniVersion": "0.2.0"}
    one_each = call("ADD", _with(old, ranges=ranges), container)
    two = call("ADD", _with(old, ranges=[*ranges, [{"subnet": "10.2.0.0/24"}]]), container)

    assert one_each.status == 0
    assert two.json["code"] == 7
    assert two.json["msg"] == "CNI version 0.2.0 does not support more than 1 address per family"


def test_an_add_without_ipam_is_refused(
    call: Call, network: dict[str, Any], container: Container
) -> None:
    done = call("ADD", {k: v for k, v in network.items() if k != "ipam"}, container)

    assert (done.json["code"], done.json["msg"]) == (7, "IPAM config missing 'ipam' key")


# -- DEL -----------------------------------------------------------------------------------


def test_delete_releases_and_may_be_repeated(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    config = _with(network, ranges=[[{"subnet": "10.1.2.0/24"}], [{"subnet": "fd00::/64"}]])
    call("ADD", config, container)
    call("ADD", config, container, ifname="eth1")

    first = call("DEL", network, container)
    second = call("DEL", network, container)

    assert first == second == (0, "", "")
    assert set(_reservations(directory)) == {"10.1.2.3", "fd00::3"}


def test_delete_where_nothing_was_ever_reserved_makes_nothing(
    call: Call, network: dict[str, Any], container: Container, tmp_path: Path
) -> None:
    assert call("DEL", network, container) == (0, "", "")
    assert not (tmp_path / "data").exists()


def test_delete_works_without_a_namespace_and_with_broken_args(
    call: Call, network: dict[str, Any], host: Host, directory: Path
) -> None:
    container = host.container()
    call("ADD", network, container)
    container.close()

    done = call("DEL", network, container, args="IP")

    assert done.status == 0
    assert _reservations(directory) == {}


# -- CHECK ---------------------------------------------------------------------------------


@pytest.fixture
def dual(network: dict[str, Any]) -> dict[str, Any]:
    return _with(network, ranges=[[{"subnet": "10.1.2.0/24"}], [{"subnet": "fd00::/64"}]])


def test_check_passes_after_add(call: Call, dual: dict[str, Any], container: Container) -> None:
    added = call("ADD", dual, container)

    assert call("CHECK", dual, container) == (0, "", "")
    assert call("CHECK", {**dual, "prevResult": added.json}, container) == (0, "", "")


def test_check_finds_that_nothing_is_reserved(
    call: Call, dual: dict[str, Any], container: Container
) -> None:
    done = call("CHECK", dual, container)

    assert done.json["code"] == 103
    assert done.json["msg"] == (
        f"host-local: Failed to find address added by container {container.id}"
    )


def test_check_finds_the_loss_of_one_of_two(
    call: Call, dual: dict[str, Any], container: Container, directory: Path
) -> None:
    call("ADD", dual, container)
    (directory / "fd00::2").unlink()

    done = call("CHECK", dual, container)

    assert done.json["code"] == 103
    assert "an address of fd00::1-fd00::ffff:ffff:ffff:ffff" in done.json["details"]


def test_check_finds_that_another_has_the_address(
    call: Call, dual: dict[str, Any], container: Container, directory: Path
) -> None:
    added = call("ADD", dual, container)
    (directory / "10.1.2.2").write_bytes(b"other\r\neth0")
    (directory / "10.1.2.9").write_bytes(f"{container.id}\r\neth0".encode())

    done = call("CHECK", {**dual, "prevResult": added.json}, container)

    assert done.json["code"] == 103
    assert "should have 10.1.2.2, has 10.1.2.9" in done.json["details"]


# -- STATUS --------------------------------------------------------------------------------


def test_status_is_good_while_there_are_addresses(
    call: Call, network: dict[str, Any], container: Container
) -> None:
    fresh = call("STATUS", network)
    call("ADD", network, container)

    assert fresh == call("STATUS", network) == (0, "", "")


def test_status_makes_nothing(call: Call, network: dict[str, Any], tmp_path: Path) -> None:
    call("STATUS", network)

    assert not (tmp_path / "data").exists()


def test_status_is_50_when_a_set_has_run_out(
    call: Call, network: dict[str, Any], container: Container
) -> None:
    config = _with(network, ranges=[[{"subnet": "fd00::/64"}], [{"subnet": "10.1.2.0/30"}]])
    call("ADD", config, container)

    done = call("STATUS", config)

    assert done.json["code"] == 50
    assert done.json["msg"] == "no IP addresses available in range set: 10.1.2.1-10.1.2.2"


def test_status_counts_the_remainder_of_a_crash_as_free(
    call: Call, network: dict[str, Any], directory: Path
) -> None:
    directory.mkdir(parents=True)
    (directory / "10.1.2.2").touch()

    assert call("STATUS", _with(network, ranges=[[{"subnet": "10.1.2.0/30"}]])).status == 0


def test_status_is_50_when_the_disk_takes_no_reservation(
    call: Call, network: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "data").write_bytes(b"a file, not a directory")

    done = call("STATUS", network)

    assert done.json["code"] == 50
    assert done.json["msg"] == "host-local cannot reserve addresses"


def test_status_is_50_when_resolv_conf_is_missing(call: Call, network: dict[str, Any]) -> None:
    done = call("STATUS", _with(network, resolvConf="/no/such"))

    assert done.json["code"] == 50
    assert "/no/such" in done.json["details"]


# -- GC ------------------------------------------------------------------------------------


def test_gc_releases_what_is_not_valid_and_keeps_other_networks(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    for number in range(3):
        call("ADD", network, container, container_id=f"c{number}")
    call("ADD", network, container, container_id="c0", ifname="eth1")
    other = {**network, "name": "other"}
    call("ADD", other, container, container_id="c1")
    (directory / "10.1.2.77").write_bytes(b"c0")
    (directory / "10.1.2.78").write_bytes(b"c1")
    valid = [{"containerID": "c0", "ifname": "eth0"}, {"containerID": "c2", "ifname": "eth0"}]

    done = call("GC", {**network, "cni.dev/valid-attachments": valid})

    assert done == (0, "", "")
    assert set(_reservations(directory)) == {"10.1.2.2", "10.1.2.4", "10.1.2.77"}
    assert set(_reservations(directory.parent / "other")) == {"10.1.2.2"}


def test_gc_with_nothing_valid_releases_all_whatever_the_ranges_are(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    call("ADD", network, container)
    config = {**_with(network, ranges=[]), "cni.dev/valid-attachments": []}

    assert call("GC", config) == (0, "", "")
    assert _reservations(directory) == {}


def test_gc_where_nothing_was_ever_reserved_succeeds(call: Call, network: dict[str, Any]) -> None:
    assert call("GC", {**network, "cni.dev/valid-attachments": []}) == (0, "", "")


# -- killed --------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["link", "unlink", "ftruncate", "utime", "symlink"])
def test_a_call_killed_anywhere_leaves_nothing_that_delete_does_not_find(
    call: Call, network: dict[str, Any], host: Host, container: Container, directory: Path, at: str
) -> None:
    call("ADD", network, container, container_id="neighbour")
    neighbour = _reservations(directory)
    killed = (
        "import os, signal, sys\n"
        f"real = os.{at}\n"
        "def stop(*args, **kwargs):\n"
        f"    {'real(*args, **kwargs)' if at != 'unlink' else ''}\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        f"os.{at} = stop\n"
        "from cnisdk.runner import main\n"
        "from cni_host_local import HostLocal\n"
        "main(HostLocal)\n"
    )
    root = Path(__file__).parents[3]
    environ = {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": container.id,
        "CNI_NETNS": container.path,
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/nowhere",
        "PYTHONPATH": f"{root}:{root}/plugins/host_local",
    }
    done = host.run(
        sys.executable, "-c", killed, input=json.dumps(network), env=environ, check=False
    )
    assert done.returncode == -9, done

    call("DEL", network, container)
    again = call("ADD", network, container)
    call("DEL", network, container)

    assert _ips(again)
    assert _reservations(directory) == neighbour


def test_a_terminated_call_that_waits_for_the_lock_stops_at_once(
    network: dict[str, Any], host: Host, container: Container, directory: Path
) -> None:
    directory.mkdir(parents=True)
    holder = os.open(directory / "lock", os.O_RDONLY | os.O_CREAT)
    fcntl.flock(holder, fcntl.LOCK_EX)
    environ = {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": container.id,
        "CNI_NETNS": container.path,
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/nowhere",
    }
    with host.inside():
        waiting = subprocess.Popen(
            [host.find("host-local")],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    assert waiting.stdin is not None
    waiting.stdin.write(json.dumps(network))
    waiting.stdin.close()
    _wait_until_it_waits_for(directory / "lock", waiting.pid)
    waiting.send_signal(signal.SIGTERM)
    assert waiting.stdout is not None
    answer = json.loads(waiting.stdout.read())
    waiting.stdout.close()
    os.close(holder)

    assert waiting.wait(5) == 1
    assert answer["code"] == 11
    assert _reservations(directory) == {}


def _wait_until_it_waits_for(path: Path, pid: int) -> None:
    """Follow /proc/locks, where "->" marks who waits."""
    inode = f":{path.stat().st_ino} "
    for _ in range(10_000):
        if any(
            "->" in line and inode in line for line in Path("/proc/locks").read_text().split("\n")
        ):
            return
        time.sleep(0.001)
    raise AssertionError(f"{pid} never waited for {path}")
