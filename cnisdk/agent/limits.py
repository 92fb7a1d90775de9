"""How many descriptors an agent may have."""

import sys

if sys.platform == "linux":
    import resource

MAX_FDS = 1 << 16
"""Soft limit on descriptors that is asked for; children inherit it, and some look at each."""


def allow_many_fds() -> None:
    """Raise the soft limit: a call holds a dozen descriptors while it runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FDS if hard == resource.RLIM_INFINITY else min(hard, MAX_FDS)
    if wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
