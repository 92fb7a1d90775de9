"""Namespaces: what is one, who is where, what is left."""

import ctypes
import errno
import fcntl
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cnisdk.net import _uapi as k, link, netns
from cnisdk.net.netns import NetNS, NotANamespaceError, StrandedThread
from cnisdk.net.rtnl import RTNL, NetlinkError
from tests.host import Container, Host


def here() -> str:
    return os.readlink("/proc/thread-self/ns/net")


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def in_thread(work: Callable[[], object]) -> BaseException | None:
    """Run ``work`` in a thread of its own and return what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as err:
            raised.append(err)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    return raised[0] if raised else None


def test_a_namespace_that_was_created_is_another_than_ours(host: Host) -> None:
    with NetNS.open(host.path) as ns, NetNS.current() as own, NetNS.open(host.path) as again:
        assert not ns.same_as(own)
        assert ns.same_as(again)


def test_creating_leaves_the_thread_where_it_was(tmp_path: Path) -> None:
    before = here()

    netns.create(str(tmp_path / "ns"))

    assert here() == before
    netns.delete(str(tmp_path / "ns"))


def test_creating_makes_missing_directories(tmp_path: Path) -> None:
    path = str(tmp_path / "run" / "netns" / "ns")

    netns.create(path)

    NetNS.open(path).close()
    netns.delete(path)


def test_creating_over_something_is_refused_and_leaves_it(tmp_path: Path) -> None:
    file = tmp_path / "ns"
    file.write_text("precious")

    with pytest.raises(FileExistsError):
        netns.create(str(file))

    assert file.read_text() == "precious"


def test_creating_that_fails_leaves_nothing(tmp_path: Path) -> None:
    before = here()

    def unprivileged() -> None:
        drop_capabilities()
        netns.create(str(tmp_path / "ns"))

    raised = in_thread(unprivileged)

    assert isinstance(raised, PermissionError)
    assert list(tmp_path.iterdir()) == []
    assert here() == before


def test_namespaces_are_created_and_deleted_by_many_threads_at_once(tmp_path: Path) -> None:
    before = here()
    barrier = threading.Barrier(8)
    names: list[str] = []

    def work(number: int) -> None:
        barrier.wait()
        path = str(tmp_path / str(number))
        own = here()
        netns.create(path)
        assert here() == own
        with NetNS.open(path) as ns, ns.enter():
            names.append(here())
        netns.delete(path)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert len(names) == 8
    assert before not in names
    assert list(tmp_path.iterdir()) == []


def test_deleting_leaves_nothing_at_the_path(tmp_path: Path) -> None:
    netns.create(str(tmp_path / "ns"))

    netns.delete(str(tmp_path / "ns"))

    assert list(tmp_path.iterdir()) == []


def test_deleting_what_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        netns.delete(str(tmp_path / "ns"))


def test_deleting_a_file_that_is_no_namespace_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ns"
    file.write_text("precious")

    with pytest.raises(NotANamespaceError):
        netns.delete(str(file))

    assert file.read_text() == "precious"


def test_a_namespace_that_is_gone_is_not_found(container: Container) -> None:
    container.close()

    with pytest.raises(FileNotFoundError) as caught:
        NetNS.open(container.path)

    assert caught.value.filename == container.path


def test_an_open_namespace_outlives_its_path(container: Container) -> None:
    with NetNS.open(container.path) as ns:
        container.close()

        with RTNL(ns) as rtnl:
            assert link.by_name(rtnl, "lo").name == "lo"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/etc/hostname", "a regular file"),
        ("/etc", "a directory"),
        ("/proc/self/ns/uts", "a uts namespace"),
        ("/proc/self/ns/user", "a user namespace"),
        ("/dev/null", "a special file"),
        ("/etc/\0", "a NUL byte"),
    ],
)
def test_what_is_no_network_namespace_is_named(path: str, found: str) -> None:
    with pytest.raises(NotANamespaceError, match=f"not a network namespace but .*{found}") as err:
        NetNS.open(path)

    assert err.value.errno == errno.EINVAL
    assert err.value.filename == path


def test_a_fifo_is_no_namespace_and_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")

    with pytest.raises(NotANamespaceError, match="a special file"):
        NetNS.open(str(tmp_path / "fifo"))


def test_a_socket_is_no_namespace(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))

        with pytest.raises(NotANamespaceError, match="a socket"):
            NetNS.open(str(tmp_path / "socket"))


def test_only_the_calling_thread_enters(ns: NetNS) -> None:
    outside = here()
    seen: list[str] = []
    entered = threading.Event()

    def look() -> None:
        entered.wait(10)
        seen.append(here())

    other = threading.Thread(target=look)
    other.start()

    with ns.enter():
        inside = here()
        entered.set()
        other.join(10)

    assert inside != outside
    assert here() == outside
    assert seen == [outside]


def test_a_thread_that_is_started_inside_starts_inside(ns: NetNS) -> None:
    seen: list[str] = []

    with ns.enter():
        inside = here()
        in_thread(lambda: seen.append(here()))

    assert seen == [inside]


def test_the_thread_comes_back_when_the_block_fails(ns: NetNS) -> None:
    before = here()

    with pytest.raises(KeyError), ns.enter():
        raise KeyError

    assert here() == before


def test_the_thread_stays_when_it_cannot_enter() -> None:
    before = here()
    no_namespace = NetNS(os.open("/etc", os.O_RDONLY), "/etc")

    with no_namespace, pytest.raises(OSError), no_namespace.enter():
        pytest.fail("entered")

    assert here() == before


def test_a_thread_that_cannot_come_back_is_stranded(ns: NetNS) -> None:
    def work() -> None:
        with ns.enter():
            drop_capabilities()

    raised = in_thread(work)

    assert isinstance(raised, StrandedThread)
    assert not isinstance(raised, Exception)
    assert "cannot return to the network namespace" in str(raised)


def test_blocks_nest(ns: NetNS, inner_ns: NetNS) -> None:
    with ns.enter():
        outer = here()
        with inner_ns.enter():
            assert here() != outer
        assert here() == outer


def test_two_threads_work_in_two_namespaces_at_once(host: Host, container: Container) -> None:
    barrier = threading.Barrier(2, timeout=10)
    failures: list[BaseException | None] = []

    def work(path: str, name: str) -> None:
        with NetNS.open(path) as ns, ns.enter():
            barrier.wait()  # both are inside
            with RTNL() as rtnl:
                barrier.wait()  # both have a socket
                link.add_ifb(rtnl, name)
            barrier.wait()  # both have made a link

    paths = {host.path: "in-host", container.path: "in-container"}
    threads = [
        threading.Thread(target=lambda p=p, n=n: failures.append(in_thread(lambda: work(p, n))))
        for p, n in paths.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert failures == [None, None]
    assert {entry["ifname"] for entry in host.json("ip", "link")} == {"lo", "in-host"}
    assert {entry["ifname"] for entry in container.json("ip", "link")} == {"lo", "in-container"}


def test_nothing_leaks_descriptors(host: Host, tmp_path: Path) -> None:
    def everything() -> None:
        netns.create(str(tmp_path / "ns"))
        with NetNS.open(str(tmp_path / "ns")) as ns, RTNL(ns) as rtnl, RTNL():
            with pytest.raises(NetlinkError):
                link.by_name(rtnl, "nothing")
            with pytest.raises(NetlinkError):
                link.wait_up(rtnl, 1, 0.01)
            with pytest.raises(KeyError), ns.enter():
                raise KeyError
        netns.delete(str(tmp_path / "ns"))
        for path in ("/etc", "/etc/hostname", "/proc/self/ns/uts", str(tmp_path / "ns")):
            with pytest.raises(OSError):
                NetNS.open(path)
        with NetNS(os.open("/etc", os.O_RDONLY)) as no_namespace, pytest.raises(OSError):
            RTNL(no_namespace)
        with pytest.raises(FileExistsError):
            netns.create("/etc/hostname")

    everything()
    before = open_fds()

    everything()

    assert open_fds() == before


def test_descriptors_are_not_inherited(ns: NetNS) -> None:
    with RTNL(ns) as rtnl, NetNS.current() as current, rtnl.listen(k.RTNLGRP_LINK) as listener:
        fds = (ns.fd, current.fd, rtnl._socket.fileno(), listener._socket.fileno())
        assert [os.get_inheritable(fd) for fd in fds] == [False] * 4


def test_the_namespace_of_a_socket_is_not_inherited(rtnl: RTNL, ns: NetNS) -> None:
    with NetNS(fcntl.ioctl(rtnl._socket, k.SIOCGSKNS)) as its:
        assert its.same_as(ns)
        assert not os.get_inheritable(its.fd)


def test_a_borrowed_descriptor_stays_open(ns: NetNS) -> None:
    with NetNS(ns.fd, owned=False) as borrowed:
        assert borrowed.same_as(ns)

    os.fstat(ns.fd)


def drop_capabilities() -> None:
    """Have the calling thread lose all capabilities; see capset(2)."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    none = (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None, use_errno=True).capset(header, none) == 0
