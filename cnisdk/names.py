"""What SPEC and the kernel accept as a name of a container, a network, an interface.

Each function returns why the name is refused, ``""`` if it is not.  Imports nothing.
"""

IFNAMSIZ = 16
"""Size of an interface name in the kernel, its closing zero byte included."""

_FIRST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_REST = _FIRST | frozenset("_.-")


def container_id_problem(text: str) -> str:
    """Say why ``text`` is no CNI_CONTAINERID.

    SPEC section 2: "Must not be empty.  Must start with an alphanumeric character, optionally
    followed by any combination of one or more alphanumeric characters, underscore (), dot (.) or
    hyphen (-)."
    """
    if text.isascii() and text.isalnum():
        return ""  # as most are
    if not text:
        return "is empty"
    if text[0] not in _FIRST:
        return "does not start with a letter or digit"
    if not _REST.issuperset(text):
        return "has characters other than letters, digits, '_', '.' and '-'"
    return ""


network_name_problem = container_id_problem
"""SPEC section 1, ``name``: the same characters as a container's ID."""


def ifname_problem(text: str) -> str:
    """Say why Linux cannot use ``text`` as given (dev_valid_name in net/core/dev.c).

    ``%`` is refused too: the kernel would take ``eth%d`` for a pattern and choose another name,
    and SPEC wants an error "if it is unable to use this interface name".
    """
    if not text:
        return "is empty"
    if len(text.encode("utf-8", "surrogateescape")) >= IFNAMSIZ:
        return f"is longer than {IFNAMSIZ - 1} bytes"
    if text.isascii() and text.isalnum():
        return ""  # as most are
    if text in (".", ".."):
        return "is . or .."
    if any(c in "/:%" or c.isspace() or ord(c) < 0x20 or c == "\x7f" for c in text):
        return "has '/', ':', '%', white space or control characters"
    return ""
