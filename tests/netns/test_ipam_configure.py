"""What `cnisdk.ipam.configure` makes of a result, seen with ip(8)."""

from typing import Any

import pytest

from cnisdk import PluginError, Result, ipam
from cnisdk.net.netns import NetNS
from cnisdk.net.rtnl import RTNL
from tests.host import Container, Host

BOTH = ["10.1.2.2/24", "2001:db8::2/64"]


@pytest.fixture
def container(host: Host) -> Container:
    """A container with a link ``eth0`` whose other end is up."""
    made = host.container()
    host.run("ip", "link", "add", "port", "type", "veth", "peer", "eth0", "netns", made.name)
    host.run("ip", "link", "set", "port", "up")
    return made


def result(*addresses: Any, routes: Any = ()) -> Result:
    """Return a result with ``addresses``, or (address, interface), for two interfaces."""
    ips = [a if isinstance(a, dict) else {"address": a, "interface": 1} for a in addresses]
    return Result.model_validate(
        {"interfaces": [{"name": "port"}, {"name": "eth0"}], "ips": ips, "routes": routes}
    )


def configure(container: Container, what: Result, ifname: str = "eth0") -> None:
    with NetNS.open(container.path) as netns, RTNL(netns) as rtnl:
        ipam.configure(rtnl, netns, ifname, what)


def addresses(container: Container, ifname: str = "eth0") -> list[str]:
    [link] = container.json("ip", "addr", "show", "dev", ifname)
    return [f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a["scope"] != "link"]


def routes(container: Container, dst: str) -> list[dict[str, Any]]:
    family = "-6" if ":" in dst else "-4"
    shown = container.json("ip", family, "-d", "route", "show", "table", "all", dst)
    return [route for route in shown if route.get("table") not in ("local",)]


def test_a_link_has_its_addresses_and_is_up(container: Container) -> None:
    configure(container, result(*BOTH))

    assert addresses(container) == BOTH
    assert "UP" in container.links()["eth0"]["flags"]


def test_an_ipv6_address_outlives_its_link_being_down(container: Container) -> None:
    configure(container, result(*BOTH))

    container.run("ip", "link", "set", "eth0", "down")

    assert addresses(container) == BOTH


def test_ipv6_is_switched_on_for_an_address(container: Container) -> None:
    container.run("sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1")

    configure(container, result(*BOTH))

    assert addresses(container) == BOTH


@pytest.mark.parametrize("dst", ["192.0.2.0/24", "2001:db8:9::/48"])
def test_a_route_says_all_that_a_result_says(container: Container, dst: str) -> None:
    gw = "2001:db8::9" if ":" in dst else "10.1.2.9"
    said = {"dst": dst, "gw": gw, "table": 5000, "priority": 7, "mtu": 1300, "advmss": 1200}

    configure(container, result(*BOTH, routes=[said]))

    [route] = routes(container, dst)
    assert (route["gateway"], route["table"], route["metric"]) == (gw, "5000", 7)
    assert route["metrics"] == [{"mtu": 1300, "advmss": 1200}]


def test_a_route_has_the_scope_of_the_result(container: Container) -> None:
    said = {"dst": "192.0.2.0/24", "gw": "10.1.2.9", "scope": 200}

    configure(container, result(*BOTH, routes=[said]))

    assert routes(container, "192.0.2.0/24")[0]["scope"] == "site"


@pytest.mark.parametrize(
    ("dst", "gw"), [("192.0.2.0/24", "10.1.2.9"), ("2001:db8:9::/48", "2001:db8::9")]
)
def test_a_route_without_gateway_leads_to_that_of_its_family(
    container: Container, dst: str, gw: str
) -> None:
    ips = [
        {"address": "10.1.2.2/24", "gateway": "10.1.2.9", "interface": 1},
        {"address": "2001:db8::2/64", "gateway": "2001:db8::9", "interface": 1},
    ]

    configure(container, result(*ips, routes=[{"dst": dst}]))

    assert routes(container, dst)[0]["gateway"] == gw


def test_a_route_without_any_gateway_is_on_the_link(container: Container) -> None:
    configure(container, result(*BOTH, routes=[{"dst": "192.0.2.0/24"}]))

    [route] = routes(container, "192.0.2.0/24")
    assert "gateway" not in route
    assert (route["dev"], route["scope"]) == ("eth0", "link")


def test_two_gateways_share_an_ipv6_route(container: Container) -> None:
    said = [{"dst": "2001:db8:9::/48", "gw": f"2001:db8::{n}"} for n in (8, 9)]

    configure(container, result(*BOTH, routes=said))

    [route] = routes(container, "2001:db8:9::/48")
    assert {hop["gateway"] for hop in route["nexthops"]} == {"2001:db8::8", "2001:db8::9"}


def test_a_route_given_twice_is_one_route(container: Container) -> None:
    said = [{"dst": "192.0.2.0/24", "gw": "10.1.2.9"}] * 2

    configure(container, result(*BOTH, routes=said))

    assert len(routes(container, "192.0.2.0/24")) == 1


def test_an_address_of_no_interface_is_left_to_others(container: Container) -> None:
    configure(container, result("10.1.2.2/24", {"address": "10.1.3.2/24"}))

    assert addresses(container) == ["10.1.2.2/24"]


@pytest.mark.parametrize("interface", [0, 2])
def test_an_address_of_another_interface_is_an_error(container: Container, interface: int) -> None:
    with pytest.raises(PluginError, match="interface"):
        configure(container, result({"address": "10.1.2.2/24", "interface": interface}))

    assert addresses(container) == []


def test_an_address_of_a_result_without_interfaces_is_an_error(container: Container) -> None:
    with pytest.raises(PluginError, match="interface"):
        configure(container, result(*BOTH).replace(interfaces=()))


def test_an_address_that_is_there_is_an_error_that_names_it(container: Container) -> None:
    container.run("ip", "addr", "add", "10.1.2.2/24", "dev", "eth0")

    with pytest.raises(OSError, match=r"10\.1\.2\.2/24"):
        configure(container, result(*BOTH))


def test_a_link_that_is_not_there_is_an_error_that_names_it(container: Container) -> None:
    with pytest.raises(OSError, match="eth7"):
        configure(container, result(*BOTH), ifname="eth7")
