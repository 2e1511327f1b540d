"""The examples of the documentation, type-checked and run in a folder with what they take."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from legoexport.models.checkpoint import read_checkpoint, write_checkpoint
from legoexport.models.registry import build
from runtime_tests.command_line import legoexport_in
from runtime_tests.docs.pages import ELSEWHERE, ROOT, SHELL, Block, blocks, reason_not_run

# What stands for a reader's own network, in a module of its own so that it has a type.
GIVEN = """
from torch import nn

my_network: nn.Module = nn.Sequential(
    nn.Conv2d(3, 8, 3, 4), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10),
)
"""
SHORT = {name: ["--duration", "0.2"] for name in ("bench", "report")}
PYTHON = [block for block in blocks() if block.language == "python"]


def distinct(candidates: list[Block]) -> list[Block]:
    """One of each: pages repeat the first example."""
    return list({block.text: block for block in reversed(candidates)}.values())[::-1]


RUN_PYTHON = distinct([one for one in PYTHON if (one.page, one.language) not in ELSEWHERE])
RUN_SHELL = distinct(
    [
        block
        for block in blocks()
        if block.language in SHELL and not all(map(reason_not_run, block.commands))
    ]
)


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(folder)])
    environment = os.environ | {"PYTHONPATH": paths, "MYPYPATH": paths}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def script(block: Block) -> str:
    given = "from given import my_network\n" if "my_network" in block.text else ""
    return given + block.text


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every file that an example begins with; a small network stands for the reader's."""
    folder = tmp_path_factory.mktemp("examples")
    torch.manual_seed(0)
    write_checkpoint(
        folder / "ckpt.pt", build("lego_digits"), arch="lego_digits", hyperparameters={}
    )
    rng = np.random.default_rng(0)
    shape = (4, *read_checkpoint(folder / "ckpt.pt").input_shape)
    np.savez(folder / "images.npz", images=rng.standard_normal(shape).astype(np.float32))
    (folder / "given.py").write_text(GIVEN)
    convert = "convert ckpt.pt --out model.onnx --dense-twin dense.onnx"
    done = legoexport_in(folder, *convert.split())
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "here"))


@pytest.mark.heavy
def test_mypy_accepts_every_python_block(tmp_path: Path) -> None:
    (tmp_path / "given.py").write_text(GIVEN)
    for number, block in enumerate(PYTHON):
        (tmp_path / f"block_{number}.py").write_text(f"# {block}\n{script(block)}")
    files = [str(path) for path in sorted(tmp_path.glob("*.py"))]
    settings = ["--config-file", str(ROOT / "pyproject.toml"), "--strict"]
    cache = ["--cache-dir", str(ROOT / ".mypy_cache")]
    done = run(["-m", "mypy", *settings, *cache, *files], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.heavy
@pytest.mark.parametrize("block", RUN_PYTHON, ids=str)
def test_a_python_block_runs(block: Block, folder: Path) -> None:
    done = run(["-c", script(block)], folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.heavy
@pytest.mark.parametrize("block", RUN_SHELL, ids=str)
def test_a_shell_block_runs(block: Block, folder: Path) -> None:
    for command in block.commands:
        if reason_not_run(command) is None:
            program, name, *arguments = shlex.split(command)
            assert program == "legoexport", "run it otherwise, or give the reason in pages.py"
            done = legoexport_in(folder, name, *arguments, *SHORT.get(name, []))
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
