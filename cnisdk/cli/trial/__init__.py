"""Two containers on a network, without root and out of reach of the machine's own.

A real kernel, real plugin executables and the runtime's side of cnisdk; only the host is a
namespace of its own.
"""
