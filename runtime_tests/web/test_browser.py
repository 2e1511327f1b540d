"""The page in a real Chromium, as large as a phone: it proves itself, and wrong numbers are red."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from legoexport.web.site import SiteOptions, build_site
from runtime_tests.web.browser import Browser, window
from runtime_tests.web.conftest import LIMIT, classifier
from runtime_tests.web.drawings import write_bmp
from runtime_tests.web.served import CHECKED, STATE, change_golden, replace, serving

pytestmark = pytest.mark.runtimes


@pytest.fixture
def site(tmp_path: Path, model: Path, bundle: Path) -> Path:
    build_site(tmp_path / "site", SiteOptions(model, bundle, mean="0.4", std="0.2"))
    return tmp_path / "site"


def open_and_check(browser: Browser, address: str) -> str:
    """Open the page, wait for its verdict, and return that."""
    browser.open(address)
    browser.wait(CHECKED)
    return str(browser.run(STATE))


def test_parity_is_reached_with_threads_and_nothing_from_elsewhere(
    phone: Browser, site: Path
) -> None:
    with serving(site) as address:
        assert open_and_check(phone, address) == "good"
        assert phone.run("return crossOriginIsolated") is True
        assert "Parity reached" in phone.text("#verdict")
        assert "top-1 9/9" in phone.text("#verdict")
        loaded = phone.run("return performance.getEntriesByType('resource').map((e) => e.name)")
        assert loaded
        assert all(name.startswith(address) for name in loaded)
        phone.choose("#threads", "2")
        phone.wait("document.getElementById('verdict-text').innerText.includes('2 threads: error')")
        assert phone.run(STATE) == "good"
        assert phone.console() == []


def test_wrong_numbers_are_red_and_stay_in_sight(
    phone: Browser, site: Path, tmp_path: Path
) -> None:
    def nudge(outputs: np.ndarray) -> None:
        outputs[2] += 3 * LIMIT

    change_golden(site, nudge, sign=True)
    with serving(site) as address:
        assert open_and_check(phone, address) == "bad"
        said = phone.text("#verdict")
        assert "WRONG NUMBERS" in said
        assert "seven: error 0.000300" in said or "seven: error 3.00e-4" in said
        assert "limit 1.00e-4" in said
        assert "two" not in said.split("Trust")[0].split("seven")[1]
        assert phone.run("return document.title").startswith("✗ WRONG NUMBERS")
        colour = "return getComputedStyle(document.getElementById('verdict')).backgroundColor"
        assert phone.run(colour) == "rgb(176, 0, 32)"
        grey = np.full((8, 8, 3), 128, np.uint8)
        phone.pick_file("#file", write_bmp(tmp_path / "grey.bmp", grey))
        phone.wait("!document.getElementById('answer-line').hidden")
        assert "Do not trust this answer" in phone.text("#answer")
        phone.run("scrollTo(0, document.body.scrollHeight)")
        box = phone.run("return document.getElementById('verdict').getBoundingClientRect().top")
        assert 0 <= box < 100


def test_a_bundle_that_was_changed_is_red(phone: Browser, site: Path) -> None:
    def touch(outputs: np.ndarray) -> None:
        outputs[0] = np.nextafter(outputs[0], np.float32(np.inf))

    change_golden(site, touch, sign=False)
    with serving(site) as address:
        assert open_and_check(phone, address) == "bad"
        assert "parity.bin: changed since this page was built" in phone.text("#verdict")


def test_another_model_is_red_and_is_not_run(phone: Browser, site: Path) -> None:
    replace(site, "model.onnx", classifier(batch=2))
    with serving(site) as address:
        assert open_and_check(phone, address) == "bad"
        assert "model.onnx: changed since this page was built" in phone.text("#verdict")
        assert phone.run("return document.getElementById('measure').disabled") is True


def test_a_missing_file_is_said(phone: Browser, site: Path) -> None:
    for path in (site / "ort").glob("ort-wasm-simd-threaded.wasm.*"):
        path.unlink()
    with serving(site) as address:
        assert open_and_check(phone, address) == "bad"
        assert "It does not run here" in phone.text("#verdict")


def test_without_a_bundle_nothing_is_green(phone: Browser, tmp_path: Path, model: Path) -> None:
    build_site(tmp_path / "site", SiteOptions(model))
    with serving(tmp_path / "site") as address:
        assert open_and_check(phone, address) == "none"
        assert "Not proved" in phone.text("#verdict")
        assert "built without --mean and --std" in phone.text("#pixels-note")


def test_without_isolation_there_is_one_thread_and_a_reason(phone: Browser, site: Path) -> None:
    with serving(site, plain=True) as address:
        assert open_and_check(phone, address) == "good"
        assert "crossOriginIsolated is false" in phone.text("#isolation-note")
        assert phone.run("return document.getElementById('threads').options.length") == 1
        assert "1 thread:" in phone.text("#verdict")


def test_webgpu_is_proved_and_measured_like_webassembly(phone: Browser, site: Path) -> None:
    with serving(site) as address:
        open_and_check(phone, address)
        option = "document.querySelector('#backend [value=webgpu]').disabled"
        assert phone.run(f"return {option}") is False, phone.text("#webgpu-note")
        phone.choose("#backend", "webgpu")
        phone.wait("document.getElementById('verdict-text').innerText.startsWith('WebGPU: error')")
        assert phone.run(STATE) == "good"
        phone.click("#measure")
        phone.wait("!document.getElementById('latencies').hidden")
        name, *numbers = phone.run(
            "return [...document.querySelectorAll('#latencies tbody tr > *')]"
            ".map((cell) => cell.innerText)"
        )
        assert name == "WebGPU"
        median, p90, runs = map(float, numbers[:3])
        assert 0 < median <= p90
        assert runs >= 20
        assert numbers[3] == "✓"


def test_every_control_has_a_name(phone: Browser, site: Path) -> None:
    with serving(site) as address:
        open_and_check(phone, address)
        count = 0
        for selector in ("#file", "#backend", "#threads", "#measure"):
            assert phone.label(selector), selector
            count += 1
        shown = "select, button:not([hidden]), input"
        visible = phone.run(
            f"return [...document.querySelectorAll('{shown}')]"
            ".filter((e) => !e.closest('[hidden]')).length"
        )
        assert visible == count


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_sticks_out_of_a_phone(
    driver_address: str, site: Path, tmp_path: Path, *, dark: bool
) -> None:
    with serving(site) as address, window(driver_address) as phone:
        if dark:
            phone.prefer_dark()
        open_and_check(phone, address)
        phone.click("#measure")
        phone.wait("!document.getElementById('latencies').hidden")
        wider = (
            "return [...document.querySelectorAll('*')].filter((e) => !e.closest('.away'))"
            ".filter((e) => e.getBoundingClientRect().right > innerWidth).map((e) => e.outerHTML)"
        )
        assert phone.run(wider) == []
        assert phone.run(
            "return [...document.querySelectorAll('.scroll')]"
            ".every((e) => e.scrollWidth <= e.clientWidth + 8)"
        )
        phone.screenshot(tmp_path / "phone.png")
        size = struct.unpack(">II", (tmp_path / "phone.png").read_bytes()[16:24])
        assert size == (780, 1688)
        ground = phone.run("return getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(23, 21, 18)" if dark else "rgb(246, 244, 240)")
