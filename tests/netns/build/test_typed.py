"""Verbs that a person types, with built executables on a machine where nothing is configured."""

import json
from pathlib import Path

import pytest

from tests.host import Host
from tests.netns.agent.launchers import StandIn, serve

# In a mount namespace of its own, where nothing is configured.
BLANK = """
set -e
for directory in /etc /opt /var/lib/cni; do mount -t tmpfs none $directory; done
bridge add 2e34dcf34 "$1"
bridge check 2e34dcf34 "$1"
ip netns exec "$2" ping -c1 -W5 10.199.0.1 >&2
bridge del 2e34dcf34 "$1"
test -z "$(ls /var/lib/cni/results)"
"""


@pytest.fixture(params=["built", "standalone", "scripts"])
def directory(request: pytest.FixtureRequest) -> Path:
    """Each kind of executables in turn."""
    found: Path = request.getfixturevalue(request.param)
    return found


def test_add_works_on_a_machine_with_no_configuration_at_all(host: Host, directory: Path) -> None:
    container = host.container()
    before = host.snapshot()

    typed = ["unshare", "-m", "sh", "-c", BLANK, "sh"]
    done = host.run(
        *typed,
        f"/var/run/netns/{container.name}",
        container.name,
        env={"PATH": f"{directory}:/usr/sbin:/usr/bin:/sbin:/bin"},
    )

    assert json.loads(done.stdout)["ips"][0]["address"] == "10.199.0.2/24"
    assert "configuration: network 'cnisdk-bridge', the default of bridge" in done.stderr
    assert "1 received" in done.stderr
    assert "eth0" not in container.links()
    after = host.snapshot()
    assert after["links"].keys() - before["links"].keys() == {"cnisdk0"}
    assert "10.199.0.2" not in json.dumps([after["nft"], after["iptables"]])


def test_an_agent_has_no_part_in_what_is_typed(host: Host, directory: Path, tmp_path: Path) -> None:
    with StandIn(tmp_path / "agent.sock", serve(7)):
        done = host.run(
            f"{directory}/bridge",
            "version",
            "--human",
            env={"CNISDK_SOCKET": str(tmp_path / "agent.sock"), "CNI_COMMAND": "ADD"},
        )

    assert done.stdout.startswith("bridge: CNI 0.1.0")


def test_links_to_one_file_are_plugins_of_their_own(host: Host, directory: Path) -> None:
    done = host.run(f"{directory}/host-local", "--help", env={})

    assert "Usage: host-local" in done.stdout
