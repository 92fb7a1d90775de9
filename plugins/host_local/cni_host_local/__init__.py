"""A CNI plugin that gives containers addresses out of ranges, kept in files on this host."""

from cni_host_local.plugin import HostLocal as HostLocal

__all__ = ["HostLocal"]
