"""Compressed variants: which are made, which one a client takes, and how the server sends it."""

from __future__ import annotations

import gzip
import http.client
from pathlib import Path

import numpy as np
import pytest

from legoexport.web.encodings import accepted, transferred_bytes, with_variants
from legoexport.web.packages import BINARIES
from legoexport.web.site import SiteOptions, build_site
from runtime_tests.web.test_site import contents

WASM = "ort-wasm-simd-threaded.wasm"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ("identity", []),
        ("gzip, deflate", ["gzip"]),
        ("gzip, deflate, br, zstd", ["br", "gzip"]),
        ("GZIP;q=1.0 , Br ; q=0.1", ["br", "gzip"]),
        ("br;q=0, gzip", ["gzip"]),
        ("*", ["br", "gzip"]),
        ("*;q=0, br", ["br"]),
        ("br;q=0, *", ["gzip"]),
        ("br;q=x, gzip;q=nan, ;;,", []),
        ("brr, xgzip", []),
    ],
)
def test_a_client_gets_what_it_takes(header: str, expected: list[str]) -> None:
    assert accepted(header) == expected


def test_a_variant_is_made_where_it_saves_something() -> None:
    noise = np.random.default_rng(1).bytes(10_000)
    files = {"text": b"abc" * 1000, "noise": noise, "empty": b""}
    assert set(with_variants(files)) == {*files, "text.gz"}
    sizes_bytes = {name: len(content) for name, content in with_variants(files).items()}
    assert transferred_bytes(sizes_bytes, "text") == sizes_bytes["text.gz"]
    assert transferred_bytes(sizes_bytes, "noise") == 10_000


def test_the_binaries_of_the_runtime_are_there_only_compressed(built: Path) -> None:
    binaries = sorted(path.name for path in built.rglob("*.wasm*") if ".mjs" not in path.name)
    assert binaries == sorted(name + ending for name in BINARIES for ending in (".br", ".gz"))


def test_variants_unpack_to_the_files_beside_them(built: Path) -> None:
    files = contents(built)
    packed = [name for name in files if name.endswith(".gz") and name[:-3] in files]
    assert len(packed) > 10
    for name in packed:
        assert gzip.decompress(files[name]) == files[name[:-3]]


@pytest.mark.usefixtures("runtime")
def test_the_same_inputs_give_the_same_bytes(
    tmp_path: Path, model: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, seconds in (("one", 0.0), ("two", 1e9)):
        monkeypatch.setattr("time.time", lambda now=seconds: now)
        build_site(tmp_path / folder, SiteOptions(model, bundle))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def ask(
    server: tuple[str, int], path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and contents as they are sent."""
    connection = http.client.HTTPConnection(*server, timeout=30)
    try:
        connection.request(
            method, path, headers={name.replace("_", "-"): v for name, v in headers.items()}
        )
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("accept", "encoding", "content"),
    [
        ("gzip, deflate, br", "br", f"{WASM} in brotli".encode()),
        ("gzip", "gzip", None),
        ("identity", None, WASM.encode()),
    ],
)
def test_the_binary_comes_as_the_client_takes_it(
    server: tuple[str, int], accept: str, encoding: str | None, content: bytes | None
) -> None:
    status, headers, sent = ask(server, f"/ort/{WASM}", Accept_Encoding=accept)
    assert status == 200
    assert headers.get("Content-Encoding") == encoding
    assert headers["Content-Type"] == "application/wasm"
    assert headers["Vary"] == "Accept-Encoding"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert int(headers["Content-Length"]) == len(sent)
    assert (gzip.decompress(sent) if content is None else sent) == (content or WASM.encode())


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "text/html"), ("/index.html?a=b", "text/html"), ("/main.js", "text/javascript")],
)
def test_the_page_comes_compressed_with_its_own_type(
    server: tuple[str, int], built: Path, path: str, kind: str
) -> None:
    name = path.partition("?")[0].strip("/") or "index.html"
    status, headers, sent = ask(server, path, Accept_Encoding="gzip, br")
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert headers["Content-Type"].startswith(kind)
    assert gzip.decompress(sent) == (built / name).read_bytes()
    _, head, body = ask(server, path, "HEAD", Accept_Encoding="gzip")
    del headers["Date"], head["Date"]  # the two answers may lie on two sides of a second
    assert (head, body) == (headers, b"")


@pytest.mark.parametrize("path", ["/main.js", f"/ort/{WASM}", "/site.json"])
def test_a_range_is_answered_by_the_whole_file_as_it_is(
    server: tuple[str, int], built: Path, path: str
) -> None:
    plain = ask(server, path)[2]
    status, headers, sent = ask(server, path, Accept_Encoding="gzip, br", Range="bytes=0-3")
    assert status == 200
    assert "Content-Encoding" not in headers
    assert sent == plain == (WASM.encode() if "wasm" in path else (built / path[1:]).read_bytes())


@pytest.mark.parametrize("accept", ["gzip", "br", "identity"])
def test_a_variant_that_is_a_link_out_of_the_folder_is_not_sent(
    server: tuple[str, int], built: Path, tmp_path: Path, accept: str
) -> None:
    (tmp_path / "secret.gz").write_bytes(gzip.compress(b"secret"))
    for name in ("model.onnx", "out"):
        for suffix in (".gz", ".br"):
            (built / (name + suffix)).unlink(missing_ok=True)
            (built / (name + suffix)).symlink_to(tmp_path / "secret.gz")
    status, headers, sent = ask(server, "/model.onnx", Accept_Encoding=accept)
    assert (status, sent) == (200, (built / "model.onnx").read_bytes())
    assert "Content-Encoding" not in headers
    assert ask(server, "/out", Accept_Encoding=accept)[0] == 404


@pytest.mark.parametrize(
    "path",
    ["/../secret", "/%2e%2e/secret", "/main.js/", "/ort/", "/no", "/%00", "/" + 300 * "a", "/.gz"],
)
def test_what_is_not_there_is_not_there_compressed(
    server: tuple[str, int], built: Path, path: str
) -> None:
    (built.parent / "secret.gz").write_bytes(gzip.compress(b"secret"))
    for accept in ("gzip, br", "identity"):
        assert ask(server, path, Accept_Encoding=accept)[0] == 404
