"""``legoexport predict`` against PyTorch in float64, fed by Pillow and numpy alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.lego.normalization import Normalization
from runtime_tests.command_line import legoexport
from runtime_tests.networks import small_net

SIZE = (12, 10)
NAMES = tuple("abcdefghij")
MEANS, DEVIATIONS = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
# Scores of float32 sums of some hundred products, through a softmax whose slope is at most 1/4.
TOLERANCE = 1e-5
NETWORK = small_net().eval()


def write_model(path: Path, *, batch: int | None = None, told: bool = True) -> Path:
    conversion = convert_module(
        NETWORK,
        torch.zeros(batch or 1, 3, *SIZE),
        CompileOptions(dynamic_batch=batch is None),
        normalization=Normalization(MEANS, DEVIATIONS) if told else None,
        class_names=NAMES if told else (),
    )
    return conversion.save(path)


def write_picture(path: Path, seed: int, mode: str, size: tuple[int, int]) -> Path:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def expected(picture: Path) -> NDArray[np.float64]:
    """Probabilities in float64, from the definitions."""
    with Image.open(picture) as opened:
        fitted = ImageOps.fit(opened.convert("RGB"), SIZE[::-1])
    colours = np.asarray(fitted).astype(np.float64) / 255
    image = ((colours - MEANS) / DEVIATIONS).transpose(2, 0, 1)[None]
    with torch.no_grad():
        scores = NETWORK.double()(torch.from_numpy(image)).numpy()[0]
    NETWORK.float()
    powers = np.exp(scores - scores.max())
    return np.asarray(powers / powers.sum())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    write_model(folder / "open.onnx")
    write_model(folder / "three.onnx", batch=3)
    write_model(folder / "silent.onnx", told=False)
    write_picture(folder / "one.png", 1, "RGB", (37, 23))
    write_picture(folder / "two.jpg", 2, "RGB", (9, 80))
    write_picture(folder / "grey.png", 3, "L", (30, 30))
    write_picture(folder / "palette.png", 4, "P", (12, 10))
    return folder


@pytest.mark.parametrize("model", ["open.onnx", "three.onnx"])
def test_it_gives_what_pytorch_gives(
    folder: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = [folder / name for name in ("one.png", "two.jpg", "grey.png", "palette.png")]
    assert legoexport("predict", folder / model, *pictures, "--top", "10", "--json") == 0
    told = json.loads(capsys.readouterr().out)["pictures"]
    assert [one["picture"] for one in told] == list(map(str, pictures))
    for one, picture in zip(told, pictures, strict=True):
        chances = expected(picture)
        found: list[dict[str, Any]] = one["classes"]
        assert [guess["name"] for guess in found] == [NAMES[guess["index"]] for guess in found]
        assert sorted(guess["index"] for guess in found) == list(range(10))
        listed = [guess["probability"] for guess in found]
        assert listed == sorted(listed, reverse=True)
        errors = [abs(guess["probability"] - chances[guess["index"]]) for guess in found]
        assert max(errors) < TOLERANCE


def test_a_table_names_each_picture_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = [folder / "one.png", folder / "two.jpg"]
    assert legoexport("predict", folder / "open.onnx", *pictures, "--top", "3") == 0
    title, head, *rows = capsys.readouterr().out.splitlines()
    assert title == "Classes by open.onnx"
    assert head.split() == ["picture", "class", "probability"]
    assert len(rows) == 6
    assert [str(pictures[0]) in row for row in rows] == [True, *[False] * 5]
    best = int(expected(pictures[0]).argmax())
    assert rows[0].split()[1:] == [NAMES[best], f"{expected(pictures[0])[best]:.1%}"]


def test_without_facts_it_asks_and_numbers_the_classes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("predict", folder / "silent.onnx", folder / "one.png", "--json")
    assert legoexport(*arguments) == 2
    said = capsys.readouterr().err
    assert "silent.onnx does not say how training normalised its pictures" in said
    assert "--mean and --std" in said
    stated = ("--mean", "0.5,0.4,0.3", "--std", "0.2,0.25,0.3")
    assert legoexport(*arguments, *stated) == 0
    (one,) = json.loads(capsys.readouterr().out)["pictures"]
    chances = expected(folder / "one.png")
    assert one["classes"][0]["name"] == str(chances.argmax())
    assert abs(one["classes"][0]["probability"] - chances.max()) < TOLERANCE


@pytest.mark.parametrize(
    ("picture", "content", "said"),
    [
        ("text.jpg", b"no picture", "cannot be decoded"),
        ("half.png", None, "cannot be decoded"),
        ("missing.png", b"", "cannot read"),
    ],
)
def test_a_picture_that_cannot_be_decoded_is_named(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    picture: str,
    content: bytes | None,
    said: str,
) -> None:
    whole = (folder / "one.png").read_bytes()
    if content != b"":
        (tmp_path / picture).write_bytes(content or whole[: len(whole) // 2])
    good = folder / "one.png"
    assert legoexport("predict", folder / "open.onnx", good, tmp_path / picture) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert str(tmp_path / picture) in printed.err


def test_what_is_no_classifier_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maps = torch.nn.Sequential(*list(NETWORK.children())[:3])
    convert_module(maps, torch.zeros(1, 3, *SIZE)).save(tmp_path / "maps.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    for name, said in (("maps.onnx", "not a classifier of images"), ("text.onnx", "not an ONNX")):
        assert legoexport("predict", tmp_path / name, folder / "one.png") == 2
        assert said in capsys.readouterr().err


def test_names_may_be_given(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "names.txt").write_text("\n".join(f"thing {i}" for i in range(10)))
    arguments = ("predict", folder / "open.onnx", folder / "one.png", "--labels")
    assert legoexport(*arguments, tmp_path / "names.txt") == 0
    assert f"thing {expected(folder / 'one.png').argmax()}" in capsys.readouterr().out
    (tmp_path / "few.txt").write_text("one")
    assert legoexport(*arguments, tmp_path / "few.txt") == 2


def test_it_loads_no_torch(folder: Path) -> None:
    files = [str(folder / name) for name in ("open.onnx", "one.png")]
    check = (
        "import sys\nfrom legoexport.cli import main\n"
        f"try:\n    main(['predict', *{files!r}])\nexcept SystemExit as ended:\n"
        "    sys.exit(99 if 'torch' in sys.modules else ended.code)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
