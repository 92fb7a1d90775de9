"""Two containers on a bridge, without root and out of reach of the machine's network.

``make demo``.  A real kernel, real plugin executables and the runtime's side of cnisdk; only the
host is a namespace of its own.
"""
