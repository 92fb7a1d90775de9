"""The page on loopback, as things are whenever it asks.

Who can reach a port of loopback is not only who started this: every user and every page in a
browser of the machine can.  So

- the address has a secret in its path, and without it there is nothing here;
- the Host header has to name loopback, so that no other site's name can be made to mean us
  (DNS rebinding), and a request that a browser says comes from another site is refused;
- there is GET and HEAD, nothing is changed by them, and no other site may read, embed or frame
  an answer.
"""

import hmac
import secrets
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cnisdk.errors import CNIError
from cnisdk.picture import html, svg
from cnisdk.picture.model import Picture
from cnisdk.picture.scene import scene
from cnisdk.types import _json

ADDRESS = "127.0.0.1"

FRESH = 1.0
"""Seconds for which one look serves all who ask."""

_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_PATIENCE = 20.0  # seconds for a request to be sent, and for its answer to be taken

_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "frame-ancestors 'none'",
}


class Server(ThreadingHTTPServer):
    """Serves what ``look`` returns; the port 0 is any that is free."""

    daemon_threads = True

    def __init__(self, look: Callable[[], Picture], port: int = 0, *, fresh: float = FRESH) -> None:
        super().__init__((ADDRESS, port), _Handler)
        self.secret = secrets.token_urlsafe(16)
        self._look = look
        self._fresh = fresh
        self._lock = threading.Lock()
        self._picture: Picture | None = None
        self._at = 0.0

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_address[1]}/{self.secret}/"

    def picture(self) -> Picture:
        """Return the picture as it is now; who asks at once with another gets the same."""
        with self._lock:
            if self._picture is None or time.monotonic() - self._at > self._fresh:
                self._picture = self._look()
                self._at = time.monotonic()
            return self._picture

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of those who hang up, or take too long; all else is a defect of ours."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = _PATIENCE
    protocol_version = "HTTP/1.1"

    def version_string(self) -> str:
        return "cnisdk"

    def log_message(self, format: str, *args: Any) -> None:
        pass  # a page that asks every two seconds is no news

    def do_GET(self) -> None:
        """Answer with the page, or with what it asks for."""
        if refusal := self._refusal():
            self._send(HTTPStatus.FORBIDDEN, "text/plain", refusal)
            return
        _, secret, *rest = f"{self.path.partition('?')[0]}/".split("/", 3)
        if not hmac.compare_digest(secret.encode(), self.server.secret.encode()):
            self._send(HTTPStatus.NOT_FOUND, "text/plain", "the address has a secret in its path\n")
            return
        name = rest[0] if rest else ""
        if name not in _PAGES:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", "there is nothing of that name\n")
            return
        kind, draw = _PAGES[name]
        try:
            picture = self.server.picture()
        except (OSError, CNIError) as err:
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"{err}\n")
            return
        self._send(HTTPStatus.OK, kind, draw(picture))

    do_HEAD = do_GET  # noqa: N815

    def _refusal(self) -> str:
        """Say why who asks gets nothing, ``""`` if they do."""
        hosts = self.headers.get_all("Host") or []
        name = hosts[0].rpartition(":")[0] or hosts[0] if len(hosts) == 1 else ""
        if name.lower() not in _HOSTS:
            return "this is for loopback only\n"
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return "this is for no other site\n"
        return ""

    def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
        data = text.encode()
        tag = f'"{html.tag(text)}"'
        if status is HTTPStatus.OK and self.headers.get("If-None-Match") == tag:
            status, data = HTTPStatus.NOT_MODIFIED, b""
        self.send_response(status)
        for header, value in _HEADERS.items():
            self.send_header(header, value)
        self.send_header("ETag", tag)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


_PAGES: dict[str, tuple[str, Callable[[Picture], str]]] = {
    "": ("text/html", lambda picture: html.document(picture, live=True)),
    "picture": ("text/html", html.fragment),
    "picture.json": ("application/json", lambda picture: _json.dumps(picture.wire(), indent=4)),
    "picture.svg": ("image/svg+xml", lambda picture: svg.drawing(scene(picture))),
}
