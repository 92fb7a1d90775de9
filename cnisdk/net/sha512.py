"""SHA-512 without OpenSSL, which hashlib takes four milliseconds to load."""

import sys

if sys.version_info >= (3, 12):
    from _sha2 import sha512  # type: ignore[import-not-found]
else:
    from _sha512 import sha512  # type: ignore[import-not-found]


def hexdigest(text: str, length: int) -> str:
    """Return the first ``length`` hexadecimal digits of the SHA-512 of ``text``."""
    digest: str = sha512(text.encode("utf-8", "surrogateescape")).hexdigest()
    return digest[:length]
