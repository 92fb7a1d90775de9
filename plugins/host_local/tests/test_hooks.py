"""DEL, CHECK, STATUS, GC, and calls that are killed, through the runner in this process."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.host import Container, Host, cni_variables

from .conftest import Call, ips, reservations, with_ipam

# -- DEL -----------------------------------------------------------------------------------


def test_delete_releases_and_may_be_repeated(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    config = with_ipam(network, ranges=[[{"subnet": "10.1.2.0/24"}], [{"subnet": "fd00::/64"}]])
    call("ADD", config, container)
    call("ADD", config, container, ifname="eth1")

    first = call("DEL", network, container)
    second = call("DEL", network, container)

    assert first == second == (0, "", "")
    assert set(reservations(directory)) == {"10.1.2.3", "fd00::3"}


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
    assert reservations(directory) == {}


# -- CHECK ---------------------------------------------------------------------------------


@pytest.fixture
def dual(network: dict[str, Any]) -> dict[str, Any]:
    return with_ipam(network, ranges=[[{"subnet": "10.1.2.0/24"}], [{"subnet": "fd00::/64"}]])


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
    config = with_ipam(network, ranges=[[{"subnet": "fd00::/64"}], [{"subnet": "10.1.2.0/30"}]])
    call("ADD", config, container)

    done = call("STATUS", config)

    assert done.json["code"] == 50
    assert done.json["msg"] == "no IP addresses available in range set: 10.1.2.1-10.1.2.2"


def test_status_counts_the_remainder_of_a_crash_as_free(
    call: Call, network: dict[str, Any], directory: Path
) -> None:
    directory.mkdir(parents=True)
    (directory / "10.1.2.2").touch()

    assert call("STATUS", with_ipam(network, ranges=[[{"subnet": "10.1.2.0/30"}]])).status == 0


def test_status_is_50_when_the_disk_takes_no_reservation(
    call: Call, network: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "data").write_bytes(b"a file, not a directory")

    done = call("STATUS", network)

    assert done.json["code"] == 50
    assert done.json["msg"] == "host-local cannot reserve addresses"


def test_status_is_50_when_resolv_conf_is_missing(call: Call, network: dict[str, Any]) -> None:
    done = call("STATUS", with_ipam(network, resolvConf="/no/such"))

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
    valid = [{"containerID": "c0", "ifname": "eth0"}, {"containerID": "c2", "ifname": "eth0"}]

    done = call("GC", {**network, "cni.dev/valid-attachments": valid})

    assert done == (0, "", "")
    assert set(reservations(directory)) == {"10.1.2.2", "10.1.2.4"}
    assert set(reservations(directory.parent / "other")) == {"10.1.2.2"}


def test_gc_with_nothing_valid_releases_all_whatever_the_ranges_are(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    call("ADD", network, container)
    config = {**with_ipam(network, ranges=[]), "cni.dev/valid-attachments": []}

    assert call("GC", config) == (0, "", "")
    assert reservations(directory) == {}


BY_HAND = {
    "10.1.2.70": b"reserved\n",
    "10.1.2.71": b"reserved\r\n",
    "10.1.2.72": b"reserved\r\nfor the printer\r\n",
    "10.1.2.73": b"reserved\neth0\n",
    "10.1.2.74": b"0123456789abcdef",  # or of an old Go plugin, which named no interface
}


def test_gc_leaves_files_that_name_no_interface(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    call("ADD", network, container)
    for name, text in BY_HAND.items():
        (directory / name).write_bytes(text)

    assert call("GC", {**network, "cni.dev/valid-attachments": []}) == (0, "", "")
    assert set(reservations(directory)) == set(BY_HAND)


def test_delete_releases_a_file_that_names_the_container_alone(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    directory.mkdir(parents=True)
    (directory / "10.1.2.74").write_bytes(b"0123456789abcdef")
    (directory / "10.1.2.75").write_bytes(b"reserved\n")

    call("DEL", network, container, container_id="0123456789abcdef")

    assert set(reservations(directory)) == {"10.1.2.75"}


def test_gc_where_nothing_was_ever_reserved_succeeds(call: Call, network: dict[str, Any]) -> None:
    assert call("GC", {**network, "cni.dev/valid-attachments": []}) == (0, "", "")


# -- killed --------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["link", "unlink", "ftruncate", "utime", "symlink"])
def test_a_call_killed_anywhere_leaves_nothing_that_delete_does_not_find(
    call: Call, network: dict[str, Any], host: Host, container: Container, directory: Path, at: str
) -> None:
    call("ADD", network, container, container_id="neighbour")
    neighbour = reservations(directory)
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
        **cni_variables("ADD", container),
        "PYTHONPATH": f"{root}:{root}/plugins/host_local",
    }
    done = host.run(
        sys.executable, "-c", killed, input=json.dumps(network), env=environ, check=False
    )
    assert done.returncode == -9, done

    call("DEL", network, container)
    again = call("ADD", network, container)
    call("DEL", network, container)

    assert ips(again)
    assert reservations(directory) == neighbour


def test_a_terminated_call_that_waits_for_the_lock_stops_at_once(
    network: dict[str, Any], host: Host, container: Container, directory: Path
) -> None:
    directory.mkdir(parents=True)
    holder = os.open(directory / "lock", os.O_RDONLY | os.O_CREAT)
    fcntl.flock(holder, fcntl.LOCK_EX)
    environ = cni_variables("ADD", container)
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
    assert reservations(directory) == {}


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
