"""ADD, and configurations that make no sense, called through the runner in this process."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.host import Container, Host, cni_variables

from .conftest import Call, ips, reservations, with_ipam

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
    config = with_ipam(
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
    config = with_ipam({**network, "cniVersion": version}, routes=[{"dst": "0.0.0.0/0"}])

    assert call("ADD", config, container).json == expected


def test_a_runtimes_ranges_come_first_then_the_single_one(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    config = with_ipam(network, subnet="10.5.0.0/24", rangeStart="10.5.0.7", gateway="10.5.0.9")
    config["runtimeConfig"] = {"ipRanges": [[{"subnet": "fd00::/64"}], [{"subnet": "10.6.0.0/24"}]]}

    done = call("ADD", config, container)

    assert ips(done) == ["fd00::2/64", "10.6.0.2/24", "10.5.0.7/24", "10.1.2.2/24"]
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

    assert ips(call("ADD", config, container)) == ["10.1.2.77/24"]


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
    config = with_ipam(network, ranges=[[{"subnet": "10.1.2.0/24"}], [{"subnet": "fd00::/64"}]])
    config |= {"args": {"cni": {"ips": cni}}, "runtimeConfig": {"ips": capability}}

    assert ips(call("ADD", config, container, args=args)) == expected


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
    assert not directory.exists() or reservations(directory) == {}


def test_an_add_that_fails_in_a_later_set_leaves_nothing(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    config = with_ipam(network, ranges=[[{"subnet": "10.1.2.0/24"}], [{"subnet": "10.2.0.0/30"}]])
    ips(call("ADD", config, container, container_id="first"))
    before = reservations(directory)

    done = call("ADD", config, container)

    assert done.json["code"] == 100
    assert done.json["msg"] == (
        "failed to allocate for range 1: no IP addresses available in range set: 10.2.0.1-10.2.0.2"
    )
    assert reservations(directory) == before


def test_an_add_whose_answer_nobody_reads_leaves_nothing(
    network: dict[str, Any], host: Host, container: Container, directory: Path
) -> None:
    environ = cni_variables("ADD", container)
    done = host.run(
        *("sh", "-c", 'exec "$0" >/dev/full', host.find("host-local")),
        input=json.dumps(network),
        env=environ,
        check=False,
    )

    assert done.returncode != 0
    assert reservations(directory) == {}


@pytest.mark.parametrize("args", ["", "IP=10.1.2.7"])
def test_a_second_add_of_an_attachment_is_refused_and_harms_not_the_first(
    call: Call, network: dict[str, Any], container: Container, directory: Path, args: str
) -> None:
    call("ADD", network, container)
    before = reservations(directory)

    done = call("ADD", network, container, args=args)

    assert done.json["code"] == 102
    assert done.json["msg"] == (
        f"failed to allocate for range 0: 10.1.2.2 has been allocated to {container.id}, "
        "duplicate allocation is not allowed"
    )
    assert reservations(directory) == before


def test_another_interface_of_a_container_gets_an_address_of_its_own(
    call: Call, network: dict[str, Any], container: Container
) -> None:
    first = call("ADD", network, container)
    second = call("ADD", network, container, ifname="eth1")

    assert (ips(first), ips(second)) == (["10.1.2.2/24"], ["10.1.2.3/24"])


def test_a_missing_resolv_conf_fails_the_add(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    done = call("ADD", with_ipam(network, resolvConf="/no/such"), container)

    assert done.json["code"] == 5
    assert done.json["msg"] == "open /no/such: no such file or directory"
    assert not directory.exists()


def test_parallel_adds_get_different_addresses(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    got: list[str] = []

    def add(number: int) -> None:
        got.extend(ips(call("ADD", network, container, container_id=f"c{number}")))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(got)) == len(got) == 100
    assert len(reservations(directory)) == 100


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
    done = call("ADD", with_ipam(network, **ipam), container)

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

    done = call("DEL", with_ipam(network, **ipam), container)

    assert done == (0, "", "")
    assert reservations(directory) == {}


def test_delete_releases_under_a_configuration_of_wrong_types_and_says_so(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    call("ADD", network, container)

    done = call("DEL", with_ipam(network, ranges=5, routes="none"), container)

    assert done.json["code"] == 7
    assert reservations(directory) == {}


def test_an_old_version_has_one_address_of_a_family(
    call: Call, network: dict[str, Any], container: Container
) -> None:
    ranges = [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00::/64"}]]
    old = {**network, "cniVersion": "0.2.0"}
    one_each = call("ADD", with_ipam(old, ranges=ranges), container)
    two = call("ADD", with_ipam(old, ranges=[*ranges, [{"subnet": "10.2.0.0/24"}]]), container)

    assert one_each.status == 0
    assert two.json["code"] == 7
    assert two.json["msg"] == "CNI version 0.2.0 does not support more than 1 address per family"


def test_an_add_without_ipam_is_refused(
    call: Call, network: dict[str, Any], container: Container
) -> None:
    done = call("ADD", {k: v for k, v in network.items() if k != "ipam"}, container)

    assert (done.json["code"], done.json["msg"]) == (7, "IPAM config missing 'ipam' key")
