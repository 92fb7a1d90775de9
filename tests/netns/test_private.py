"""The private host that the whole session lives in."""

import subprocess

from cnisdk.conformance.private import NETNS_DIR
from tests.host import Host


def test_a_namespace_can_be_deleted_after_the_first_ip_netns_add(host: Host) -> None:
    before = host.container()
    subprocess.run(["ip", "netns", "add", f"{host.name}-ip"], check=True)
    subprocess.run(["ip", "netns", "delete", f"{host.name}-ip"], check=True)

    before.close()

    with open("/proc/self/mountinfo", encoding="utf-8") as mountinfo:
        mounts = [line.split()[4] for line in mountinfo]
    assert mounts.count(NETNS_DIR) == 1
    assert before.path not in mounts
