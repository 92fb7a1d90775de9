"""Where a machine has what a runtime works with, unless the runtime is told otherwise.

Imports nothing.  What a certain runtime's own configuration says is `cnisdk.node.places`.
"""

CONFIG_DIR = "/etc/cni/net.d"
"""Network configurations."""

PLUGIN_DIRS = ("/opt/cni/bin", "/usr/lib/cni")
"""Executables of plugins; a machine may lack either."""

CACHE_DIR = "/var/lib/cni"
"""What is remembered of attachments."""

NETNS_DIR = "/run/netns"
"""Network namespaces that have names, as ip-netns(8) gives them."""
