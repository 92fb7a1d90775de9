"""Kernel parameters of a namespace, seen by sysctl(8)."""

import errno

import pytest

from cnisdk.net import link, sysctl
from cnisdk.net.netns import NetNS
from cnisdk.net.rtnl import RTNL
from tests.host import Host

FORWARD = "net/ipv4/ip_forward"


def shown(host: Host, name: str) -> str:
    return host.run("sysctl", "-n", name).stdout.strip()


def test_a_parameter_is_of_the_namespace_that_the_thread_is_in(host: Host, ns: NetNS) -> None:
    outside = sysctl.read(FORWARD)
    with ns.enter():
        value = 1 - int(sysctl.read(FORWARD))

        assert sysctl.write(FORWARD, value)

        assert sysctl.read(FORWARD) == str(value)
    assert shown(host, FORWARD) == str(value)
    assert sysctl.read(FORWARD) == outside


def test_a_value_that_is_there_is_not_written(ns: NetNS) -> None:
    with ns.enter():
        sysctl.write("net/ipv4/ip_local_port_range", "20000 30000")

        assert not sysctl.write("net/ipv4/ip_local_port_range", "20000\t30000")


def test_a_value_is_written_unseen_where_it_need_not_be_compared(ns: NetNS) -> None:
    with ns.enter():
        value = sysctl.read(FORWARD)

        assert sysctl.write(FORWARD, value, compare=False)

        assert sysctl.read(FORWARD) == value


def test_a_links_name_may_contain_a_dot(host: Host, ns: NetNS, rtnl: RTNL) -> None:
    link.add_ifb(rtnl, "eth0.5")

    with ns.enter():
        assert sysctl.write("net/ipv6/conf/eth0.5/accept_ra", 0)

    assert shown(host, "net/ipv6/conf/eth0.5/accept_ra") == "0"


def test_a_parameter_that_can_only_be_written_is_written(ns: NetNS) -> None:
    with ns.enter():
        assert sysctl.write("net/ipv4/route/flush", 1)


def test_a_parameter_that_is_not_there_is_named(ns: NetNS) -> None:
    with ns.enter(), pytest.raises(FileNotFoundError) as caught:
        sysctl.write("net/ipv6/conf/nothing/accept_ra", 0)

    assert caught.value.filename == "/proc/sys/net/ipv6/conf/nothing/accept_ra"


def test_a_value_that_the_kernel_refuses_is_named(ns: NetNS) -> None:
    with ns.enter(), pytest.raises(OSError, match="Invalid argument: 'many'") as caught:
        sysctl.write(FORWARD, "many")

    assert caught.value.errno == errno.EINVAL
    assert caught.value.filename == "/proc/sys/net/ipv4/ip_forward"


@pytest.mark.parametrize("name", ["", "net/../kernel/hostname", "/etc/passwd", "net//ipv4", "."])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(OSError, match="not the name of a kernel parameter"):
        sysctl.read(name)
