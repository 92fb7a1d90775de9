"""What this machine's own kernel can."""

import subprocess
from functools import cache


@cache
def can_filter_vlans() -> bool:
    """Say whether its bridges can."""
    made = ["ip", "link", "add", "br0", "type", "bridge", "vlan_filtering", "1"]
    argv = ["unshare", "--net", *made]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
