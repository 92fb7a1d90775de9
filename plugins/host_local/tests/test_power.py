"""A machine that really boots, twice, with a disk of its own: a User-mode Linux."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.host import OURS, REFERENCE
from tests.vm import uml

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(
        not uml.installed(), reason="needs User-mode Linux: apt install user-mode-linux kmod"
    ),
]

CONFIG = json.dumps(
    {
        "cniVersion": "1.0.0",
        "name": "net",
        "type": "bridge",
        "ipam": {"type": "host-local", "dataDir": "/srv", "subnet": "10.1.0.0/24"},
    }
)

# Prints which reservations there are, and whose; /media is shared with this machine.
SCRIPT = f"""
set -e
modprobe -d "$GUEST/modules" loop
mount -o loop /media/disk /srv
ip netns add container
call() {{
    echo '{CONFIG}' | CNI_COMMAND=$1 CNI_CONTAINERID=$3 CNI_NETNS=/run/netns/container \\
        CNI_IFNAME=eth0 CNI_PATH=$2 "$2/host-local" >/tmp/answer || {{ cat /tmp/answer; exit 1; }}
}}
ours={OURS} go={REFERENCE}
"""
LIST = "cd /srv/net && for file in 10.*; do echo $file $(head -n 1 $file); done; sync\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Return the directory of a machine with an empty disk."""
    disk = tmp_path / "shared" / "disk"
    disk.parent.mkdir()
    with disk.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["/sbin/mkfs.ext4", "-q", disk], check=True)
    return tmp_path


def _boot(directory: Path, script: str) -> str:
    """Boot, run ``script``, and cut the power; what is on the disk is there the next time."""
    done = uml.run(
        ["sh", "-c", SCRIPT + script],
        directory=directory,
        cwd=Path("/"),
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "GUEST": str(directory)},
    )
    for link in (directory / "modules" / "lib" / "modules").iterdir():
        link.unlink()  # each boot makes them
    assert done.status == 0, done.output
    return done.output


def _reservations(output: str) -> set[str]:
    return {
        line.replace("\r", "").split()[1] for line in output.split("\n") if line.startswith("10.")
    }


def test_a_power_failure_costs_no_address_and_no_container_its_own(machine: Path) -> None:
    """The second boot's clock is years behind the first one's."""
    first = _boot(
        machine,
        "call ADD $ours a; call ADD $go b-seen; call ADD $ours c; call ADD $go d-unseen\n" + LIST,
    )
    second = _boot(
        machine,
        "date -s 2001-01-01; call ADD $go e-go; call DEL $ours a; call ADD $ours f-first\n"
        "call ADD $go g-go; call ADD $ours h-ours; call CHECK $ours e-go\n" + LIST,
    )
    third = _boot(machine, "call ADD $ours i\n" + LIST)

    assert _reservations(first) == {"a", "b-seen", "c", "d-unseen"}
    assert _reservations(second) == {"d-unseen", "e-go", "f-first", "g-go", "h-ours"}
    assert "free again, reserved before the reboot: 10.1.0.3, 10.1.0.4" in second
    assert _reservations(third) == {"i"}


def test_on_files_of_another_machine_a_boot_proves_nothing(machine: Path) -> None:
    """The guest's /media is a directory of this machine, as with virtiofs, 9p or NFS."""
    config = "config='" + CONFIG.replace("/srv", "/media/networks") + "'\n"
    add = (
        'echo "$config" | CNI_COMMAND=ADD CNI_CONTAINERID=$who CNI_NETNS=/run/netns/container '
        "CNI_IFNAME=eth0 CNI_PATH=$ours $ours/host-local\n"
    )
    _boot(machine, f"who=a\n{config}{add}")
    _boot(machine, f"who=b\n{config}{add}")

    networks = machine / "shared" / "networks"
    assert {path.name for path in networks.glob("net/10.*")} == {"10.1.0.2", "10.1.0.3"}
    assert (networks / ".index" / "net" / "shared").is_symlink()
