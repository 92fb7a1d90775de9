"""A CNI plugin that gives containers addresses out of ranges, kept in files on this host."""
