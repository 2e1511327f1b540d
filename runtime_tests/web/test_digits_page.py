"""The page of the demo: a network that has learnt digits reads what a finger draws."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from runtime_tests.web.browser import Browser
from runtime_tests.web.drawings import DIGITS, write_bmp
from runtime_tests.web.served import CHECKED, serving

pytestmark = pytest.mark.runtimes

# Of ten drawings; the network has 99 % of the digits of others right, and these are no digits of
# its data. A page that prepares drawings in another way reads half of them.
LEAST_READ = 9
PICTURES_COUNT = 6
# Two runtimes in float32; scores are around ten.
TOLERANCE = 1e-4
ANSWERED = "document.querySelector('#answer[aria-busy=false] #answer-line:not([hidden])')"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's network, trained, converted and proved, by the commands of its user."""
    folder = tmp_path_factory.mktemp("digits")
    made = folder / "demo"
    made.mkdir()
    train = [sys.executable, "-c", "from legoexport.demo import train_digits; train_digits()"]
    # Threads that wait for each other on a busy machine take several times as long as one.
    subprocess.run(train, cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)
    legoexport(made, "convert", "digits.pt", "--out", "digits.onnx")
    data = ("--data", "test_images.npz")
    legoexport(made, "verify", "digits.pt", "digits.onnx", *data, "--save-bundle", "bundle")
    options = ("--bundle", "bundle", "--mean", "0.5", "--std", "0.5")
    legoexport(made, "web", "digits.onnx", "--out", "site", *options)
    return made


def legoexport(folder: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "legoexport", *arguments], cwd=folder, check=True)


def answer(phone: Browser) -> int:
    phone.wait(ANSWERED)
    return int(phone.run("return document.getElementById('answer-line').dataset.label"))


def test_the_demo_reads_digits(phone: Browser, demo: Path, tmp_path: Path) -> None:
    with serving(demo / "site") as address:
        phone.open(address)
        phone.wait(CHECKED)
        assert "Parity reached" in phone.text("#verdict")
        assert "top-1 384/384" in phone.text("#verdict")
        read = {}
        for digit, strokes in DIGITS.items():
            phone.press("#clear")
            phone.draw("#pad", strokes)
            read[digit] = answer(phone)
        assert sum(digit == found for digit, found in read.items()) >= LEAST_READ, read
        phone.screenshot(tmp_path / "drawn.png")
        compare_scores(phone, demo, tmp_path)
        assert phone.console() == []


def compare_scores(phone: Browser, demo: Path, folder: Path) -> None:
    """Pictures of held-out digits get the scores of ONNX Runtime in Python."""
    session = onnxruntime.InferenceSession(demo / "digits.onnx", providers=["CPUExecutionProvider"])
    images = np.load(demo / "test_images.npz")["images"][:PICTURES_COUNT]
    for i, image in enumerate(images):
        grey = np.rint((image[0] + 1) / 2 * 255).astype(np.uint8)
        phone.press("#clear")
        picture = write_bmp(folder / f"{i}.bmp", np.repeat(grey[..., None], 3, 2))
        phone.pick_file("#file", picture)
        best = answer(phone)
        network_input = (grey[None, None].astype(np.float32) / 255 - 0.5) / 0.5
        (expected,) = session.run(None, {"input": network_input.astype(np.float32)})
        assert best == expected[0].argmax()
        for index, score in scores(phone).items():
            assert score == pytest.approx(expected[0][index], abs=TOLERANCE)


def scores(phone: Browser) -> dict[int, float]:
    """The raw scores behind the bars, by class."""
    found = phone.run(
        "return JSON.stringify([...document.querySelectorAll('#bars li')]"
        ".map((e) => [e.innerText.split('\\n')[0], e.title]))"
    )
    return {int(name.split()[1]): float(title.split()[1]) for name, title in json.loads(found)}
