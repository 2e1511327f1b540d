"""Sites with the real onnxruntime-web, served for a browser to open."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from legoexport.web.encodings import SUFFIXES
from legoexport.web.server import LOOPBACK, MIME_TYPES, address, make_server

CHECKED = "!['wait', undefined].includes(document.documentElement.dataset.state)"
STATE = "return document.documentElement.dataset.state"


class PlainHandler(SimpleHTTPRequestHandler):
    """Any static server: the right types, none of the headers that isolation needs."""

    extensions_map = MIME_TYPES

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


@contextlib.contextmanager
def serving(site: Path, *, plain: bool = False, port: int = 0) -> Iterator[str]:
    """Serve a site while the block runs; yields its address."""
    if plain:
        server = ThreadingHTTPServer((LOOPBACK, port), partial(PlainHandler, directory=str(site)))
    else:
        server = make_server(site, LOOPBACK, port)
    with server, cut_off_at_the_end(server):
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield address(server)
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def cut_off_at_the_end(server: ThreadingHTTPServer) -> Iterator[None]:
    """Close what a browser keeps open, or it would be served for long after the server's end."""
    accepted: list[socket.socket] = []
    accept = server.get_request

    def remember() -> tuple[socket.socket, object]:
        connection, client = accept()
        accepted.append(connection)
        return connection, client

    server.get_request = remember  # type: ignore[method-assign]
    yield
    for connection in accepted:
        with contextlib.suppress(OSError):  # its client was faster
            connection.shutdown(socket.SHUT_RDWR)


def change_golden(site: Path, change: Callable[[np.ndarray], None], *, sign: bool) -> None:
    """Change the golden outputs of the first set; ``sign`` writes the digest that then fits."""
    record = json.loads((site / "site.json").read_text())
    values = np.frombuffer((site / "parity.bin").read_bytes(), "<f4").copy()
    place = record["parity"]["sets"][0]["outputs"]
    start = place["offset_bytes"] // 4
    change(values[start : start + int(np.prod(place["shape"]))])
    replace(site, "parity.bin", values.tobytes())
    if sign:
        record["parity"]["sha256"] = hashlib.sha256(values.tobytes()).hexdigest()
        replace(site, "site.json", json.dumps(record).encode())


def replace(site: Path, name: str, content: bytes) -> None:
    """Change a file, which then has no compressed variants."""
    (site / name).write_bytes(content)
    for suffix in SUFFIXES.values():
        (site / (name + suffix)).unlink(missing_ok=True)
