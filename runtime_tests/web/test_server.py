"""The server: the headers that threads need, what it hides, and where it listens."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from legoexport.errors import UsageError
from legoexport.web.server import HEADERS, LOOPBACK, SiteHandler, address, make_server

START_TIMEOUT_S = 60


def get(server: tuple[str, int], path: str, method: str = "GET") -> tuple[int, dict[str, str]]:
    """Status and headers; the path goes out as it is, dots and all."""
    connection = http.client.HTTPConnection(*server, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.title(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/main.js", "text/javascript; charset=utf-8"),
        ("/ort/ort.wasm.min.mjs", "text/javascript; charset=utf-8"),
        ("/ort/ort-wasm-simd-threaded.wasm", "application/wasm"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
        ("/site.json", "application/json"),
        ("/model.onnx", "application/octet-stream"),
        ("/parity.bin", "application/octet-stream"),
    ],
)
def test_every_file_comes_with_its_type_and_isolated(
    server: tuple[str, int], path: str, kind: str
) -> None:
    status, headers = get(server, path)
    assert status == 200
    assert headers["Content-Type"] == kind
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'self'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/ort/", "/ort", "/../model.onnx", "/%2e%2e/model.onnx", "/no"])
def test_nothing_else_is_served(server: tuple[str, int], path: str, built: Path) -> None:
    assert (built.parent / "model.onnx").is_file()
    status, headers = get(server, path)
    # /../x is answered as /x, within the site; a folder is sent on to its name with a slash.
    inside = "model.onnx" in path
    assert status == (200 if inside else 301 if path == "/ort" else 404)
    assert set(HEADERS) <= set(headers)


def test_what_lies_beside_the_site_is_out_of_reach(server: tuple[str, int], built: Path) -> None:
    (built.parent / "secret.txt").write_text("secret")
    for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/ort/../../secret.txt"):
        assert get(server, path)[0] == 404


def test_nothing_can_be_sent(server: tuple[str, int]) -> None:
    assert get(server, "/site.json", "POST")[0] == 501


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_only_get_and_head_are_answered(method: str, server: tuple[str, int]) -> None:
    status, headers = get(server, "/model.onnx", method)
    assert status == 501
    assert headers.items() >= {(name.title(), value) for name, value in HEADERS.items()}


@pytest.mark.parametrize("path", ["/out/secret.txt", "/out.txt", "/./out.txt", "/out%2Etxt"])
def test_links_out_of_the_folder_lead_nowhere(
    path: str, server: tuple[str, int], built: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    links = {built / "out": tmp_path, built / "out.txt": tmp_path / "secret.txt"}
    for link, target in links.items():
        link.symlink_to(target)
    try:
        assert get(server, path)[0] == 404
    finally:
        for link in links:
            link.unlink()


def test_a_range_is_answered_by_the_whole_file(server: tuple[str, int], built: Path) -> None:
    connection = http.client.HTTPConnection(*server, timeout=30)
    connection.request("GET", "/model.onnx", headers={"Range": "bytes=0-3"})
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.read() == (built / "model.onnx").read_bytes()
    connection.close()


def test_clients_that_say_nothing_keep_nobody_waiting(
    server: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SiteHandler, "timeout", 0.5)
    silent = [socket.create_connection(server, timeout=30) for _ in range(40)]
    for one in silent:
        one.sendall(b"GET /model.onnx HTTP/1.1\r\n")
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: get(server, "/site.json")[0], range(60)))
    assert statuses == [200] * 60
    for one in silent:
        assert one.recv(1) == b"", "the server hangs up on a request that does not end"
        one.close()


def test_a_folder_that_is_no_site_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a site"):
        make_server(tmp_path, LOOPBACK, 0)


def test_a_port_that_is_taken_is_named(built: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"{LOOPBACK}:{port}"):
            make_server(built, LOOPBACK, port)


def test_an_address_that_is_none_is_named(built: Path) -> None:
    with pytest.raises(UsageError, match=r"999\.1\.1\.1"):
        make_server(built, "999.1.1.1", 0)


def serve(built: Path, *options: str) -> tuple[list[str], subprocess.Popen[str]]:
    """Start the command; return what it says before it serves, with the address on line one."""
    command = [sys.executable, "-m", "legoexport", "web", "--serve", str(built), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return [process.stdout.readline()], process


def test_the_command_serves_on_loopback_and_stops_on_interrupt(built: Path) -> None:
    (line,), process = serve(built, "--port", "0")
    with process:
        try:
            port = int(line.split(f"http://{LOOPBACK}:")[1].split("/")[0])
            assert get((LOOPBACK, port), "/")[0] == 200
        finally:
            process.terminate()
        assert process.communicate(timeout=START_TIMEOUT_S)[0] == ""


def test_another_address_is_a_choice_and_says_so(built: Path) -> None:
    _, process = serve(built, "--port", "0", "--host", "0.0.0.0")  # noqa: S104 - the point
    with process:
        assert process.stdout
        note = process.stdout.readline()
        process.terminate()
    assert "everyone who reaches this address" in note


def test_the_address_is_where_it_listens(built: Path) -> None:
    with make_server(built, LOOPBACK, 0) as made:
        assert address(made) == f"http://{LOOPBACK}:{made.server_address[1]}/"
