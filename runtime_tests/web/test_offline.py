"""The page in a real Chromium without a network: it opens, proves itself and answers."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from legoexport.web.server import SiteHandler
from legoexport.web.site import SiteOptions, build_site
from runtime_tests.web.browser import Browser
from runtime_tests.web.conftest import classifier
from runtime_tests.web.drawings import write_bmp
from runtime_tests.web.served import CHECKED, STATE, replace, serving

pytestmark = pytest.mark.runtimes

KEPT = "!document.getElementById('offline-note').hidden"
# What only the service worker asks for, once the page has answered.
LOADED_LATER = {
    "service_worker.js",
    "ort/ort.webgpu.min.mjs",
    "ort/ort-wasm-simd-threaded.asyncify.mjs",
}
WEBGPU_KEPT = """
const done = arguments[0], file = new URL("ort/ort-wasm-simd-threaded.asyncify.wasm", location);
(async () => { while (!(await caches.match(file))) await new Promise((r) => setTimeout(r, 50)); })()
  .then(done);
"""
# The state in which the installation of the service worker ends.
INSTALLED = """
const done = arguments[0];
navigator.serviceWorker.register("service_worker.js", { type: "module", updateViaCache: "none" })
  .then(({ installing }) => {
    const tell = () => { if (installing.state !== "installing") done(installing.state); };
    installing.onstatechange = tell;
    tell();
  });
"""
CACHES = "const done = arguments[0]; caches.keys().then(done)"


@pytest.fixture
def site(tmp_path: Path, model: Path, bundle: Path) -> Path:
    build_site(tmp_path / "site", SiteOptions(model, bundle, mean="0.4", std="0.2"))
    return tmp_path / "site"


def visit(browser: Browser, address: str, state: str = "good") -> None:
    """Open the page, and wait for its verdict."""
    browser.open(address)
    browser.wait(CHECKED)
    assert browser.run(STATE) == state, browser.text("#verdict")


def port_of(address: str) -> int:
    return int(address.strip("/").rsplit(":", 1)[1])


def cut(browser: Browser) -> None:
    """Switch the network of the page off; the server has stopped as well."""
    conditions = {"offline": True, "latency": 0, "throughput": 0}
    browser.call("POST", "/chromium/network_conditions", {"network_conditions": conditions})


def test_it_opens_proves_and_answers_without_a_network(
    phone: Browser, site: Path, tmp_path: Path
) -> None:
    with serving(site) as address:
        visit(phone, address)
        phone.wait(KEPT)
        assert phone.console() == []
    cut(phone)
    visit(phone, address)
    assert "top-1 9/9" in phone.text("#verdict")
    assert phone.run("return crossOriginIsolated") is True
    phone.choose("#threads", "2")
    phone.wait("document.getElementById('verdict-text').innerText.includes('2 threads: error')")
    phone.pick_file("#file", write_bmp(tmp_path / "grey.bmp", np.full((8, 8, 3), 9, np.uint8)))
    phone.wait("!document.getElementById('answer-line').hidden")
    assert phone.console() == []
    phone.choose("#backend", "webgpu")
    phone.wait("document.getElementById('verdict-title').innerText === 'It does not run here'")


def test_webgpu_is_kept_once_it_was_used(phone: Browser, site: Path) -> None:
    ready = "document.getElementById('verdict-text').innerText.startsWith('WebGPU: error')"
    with serving(site) as address:
        visit(phone, address)
        phone.wait(KEPT)
        phone.choose("#backend", "webgpu")
        phone.wait(ready)
        phone.run_async(WEBGPU_KEPT)
    visit(phone, address)
    phone.choose("#backend", "webgpu")
    phone.wait(ready)
    assert phone.run(STATE) == "good"


def test_a_new_version_takes_the_place_of_the_old_one(
    phone: Browser, site: Path, tmp_path: Path
) -> None:
    with serving(site) as address:
        visit(phone, address)
        phone.wait(KEPT)
        (old,) = phone.run_async(CACHES)
    other = tmp_path / "other.onnx"
    other.write_bytes(classifier(batch=2))
    build_site(tmp_path / "new", SiteOptions(other))
    with serving(tmp_path / "new", port=port_of(address)):
        visit(phone, address, "none")
        assert "other.onnx" in phone.text("#model-line")
        phone.wait(KEPT)
        (new,) = phone.run_async(CACHES)
        assert new != old
    visit(phone, address, "none")
    assert "other.onnx" in phone.text("#model-line")
    with serving(site, port=port_of(address)):
        visit(phone, address)
        phone.wait(KEPT)
        assert phone.run_async(CACHES) == [old]


def test_files_that_were_changed_are_not_kept(phone: Browser, site: Path) -> None:
    replace(site, "style.css", b"body { color: red }")
    with serving(site) as address:
        visit(phone, address)
        assert phone.run_async(INSTALLED) == "redundant"
        assert phone.run(f"return {KEPT}") is False
    with pytest.raises(AssertionError, match="ERR_CONNECTION_REFUSED"):
        phone.open(address)


def test_a_first_visit_loads_what_the_command_says_and_nothing_twice(
    phone: Browser, tmp_path: Path, model: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, int]] = []

    def copyfile(handler: SiteHandler, source: BinaryIO, output: BinaryIO) -> None:
        content = source.read()
        sent.append((handler.path.strip("/") or "index.html", len(content)))
        output.write(content)

    monkeypatch.setattr(SiteHandler, "copyfile", copyfile)
    site = build_site(tmp_path / "site", SiteOptions(model, bundle))
    with serving(site.folder) as address:
        visit(phone, address)
        phone.wait(KEPT)
    paths = [path for path, _ in sent]
    for large in ("ort/ort-wasm-simd-threaded.wasm", "model.onnx", "parity.bin"):
        assert paths.count(large) == 1, large
    first = {path: size_bytes for path, size_bytes in sent if path not in LOADED_LATER}
    assert sum(first.values()) == site.first_answer_bytes


def test_a_plain_server_will_do_and_threads_come_with_the_second_visit(
    phone: Browser, site: Path
) -> None:
    with serving(site, plain=True) as address:
        visit(phone, address)
        assert phone.run("return crossOriginIsolated") is False
        phone.wait(KEPT)
        visit(phone, address)
        assert phone.run("return crossOriginIsolated") is True
        assert phone.text("#isolation-note") == ""
    visit(phone, address)
    assert phone.run("return crossOriginIsolated") is True
