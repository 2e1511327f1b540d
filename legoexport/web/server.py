"""Serve a site with the headers that it needs: threads in WebAssembly need isolation.

A browser gives ``SharedArrayBuffer``, and with it threads, to a page that is cross-origin isolated:
it came from a secure context (HTTPS, or localhost), with the two headers COOP and COEP.
"""

from __future__ import annotations

import gzip
import io
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

from legoexport.errors import UsageError
from legoexport.web.encodings import GZIP_SUFFIX, SUFFIXES, accepted
from legoexport.web.folder import read_record

LOOPBACK = "127.0.0.1"
LOOPBACK_HOSTS = (LOOPBACK, "localhost")
DEFAULT_PORT = 8000
# A client that says nothing for so long loses its thread.
CLIENT_TIMEOUT_S = 30.0
# index.html states the same for servers that send none; frame-ancestors works only as a header.
CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob:;"
    " object-src 'none'; base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": f"{CONTENT_POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # A page that shows an older model than the one on disk would show wrong numbers.
    "Cache-Control": "no-store",
    # For what stands in between and keeps answers all the same.
    "Vary": "Accept-Encoding",
}
MIME_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".gz": "application/gzip",
    "": "application/octet-stream",
}


class SiteHandler(SimpleHTTPRequestHandler):
    """Files of one folder, nothing listed, nothing cached."""

    protocol_version = "HTTP/1.1"
    extensions_map = MIME_TYPES
    timeout = CLIENT_TIMEOUT_S

    def end_headers(self) -> None:
        """Send the headers of every answer, errors included."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        """Answer with a file, in the smallest of its encodings that the client takes.

        There is no such file where a link leads out of the folder. A client that asks for a range
        means bytes of the file itself, and gets the whole of it as it is.
        """
        path = self._requested()
        if not self._is_inside(path):
            self.send_error(404)
            return None
        header = "" if "Range" in self.headers else self.headers.get("Accept-Encoding", "")
        for encoding in accepted(header):
            if content := self._read(path, SUFFIXES[encoding]):
                return self._send(path, content, encoding)
        if (content := self._read(path, GZIP_SUFFIX)) and not path.exists():
            return self._send(path, gzip.decompress(content), None)
        return super().send_head()

    def _requested(self) -> Path:
        """The file that the address names; it need not be there."""
        found = self.translate_path(self.path)
        return Path(found, "index.html") if found.endswith("/") else Path(found)

    def _is_inside(self, path: Path) -> bool:
        try:
            return path.resolve().is_relative_to(self.directory)
        except (OSError, ValueError):  # names that no file can have
            return False

    def _read(self, path: Path, suffix: str) -> bytes | None:
        """Contents of a compressed variant, or None where there is none in the folder."""
        variant = path.with_name(path.name + suffix)
        if not self._is_inside(variant):
            return None
        try:
            return variant.read_bytes()
        except OSError:
            return None

    def _send(self, path: Path, content: bytes, encoding: str | None) -> io.BytesIO:
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return io.BytesIO(content)

    def list_directory(self, path: object) -> None:
        """Answer that there is no such file."""
        del path
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Keep the terminal for what matters."""


def make_server(folder: Path, host: str, port: int) -> ThreadingHTTPServer:
    """Bind a server for a site; ``serve_forever`` starts it.

    Args:
        folder: A folder that ``build_site`` wrote.
        host: Address to bind.
        port: The port; 0 takes any free one.

    Raises:
        UsageError: ``folder`` is not a site, or the address cannot be bound.
    """
    read_record(folder)
    handler = partial(SiteHandler, directory=str(folder.resolve()))
    try:
        return ThreadingHTTPServer((host, port), handler)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"cannot serve at {host}:{port}",
            received=error.strerror if isinstance(error, OSError) else error,
            next_step="choose another --port, or --port 0 for any free one",
        ) from None


def address(server: ThreadingHTTPServer) -> str:
    """Return where the server can be reached, such as ``http://127.0.0.1:8000/``."""
    host, port = server.server_address[:2]
    return f"http://{host!s}:{port}/"
