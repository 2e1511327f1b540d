"""The files that are measured, made by the product's own commands, and kept for the next run."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.networks import Network
from benchmarks.settings import Settings
from benchmarks.workers import MNN_CONVERT
from legoexport.errors import CheckFailed

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "benchmarks"
# What decides the graph of a converted file.
DECIDING = (
    "passes",
    "models",
    "legoexport/tune",
    "legoexport/compile",
)
MESSAGE_LINES = 6


def source_fingerprint() -> str:
    """Return what changes with the passes and the tuning: and the files made with them."""
    digest = hashlib.sha256()
    for path in _deciding_files():
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def is_installed(module: str) -> bool:
    """Whether a runtime's Python package is there."""
    return importlib.util.find_spec(module) is not None


class Files:
    """The files of one network; each is made when it is first asked for.

    Args:
        network: The network.
        settings: How long to tune.
        folder: Where to keep them.
    """

    def __init__(self, network: Network, settings: Settings, folder: Path) -> None:
        self._network, self._settings = network, settings
        self._folder = folder / network.name
        self._folder.mkdir(parents=True, exist_ok=True)

    def naive(self) -> Path:
        """Return a plain ``torch.onnx.export`` of the network in the paper's form."""
        self._made("checkpoint.pt")
        return self._folder / "naive.onnx"

    def default(self, threads: int) -> Path:
        """Return what the default plan for ``threads`` gives."""
        twin = ("--dense-twin", str(self._folder / "dense.onnx"))
        return self._converted(f"default-{threads}.onnx", "--threads", str(threads), *twin)

    def dense(self) -> Path:
        """Return the dense twin, converted the same way."""
        self.default(1)  # writes it too
        return self._folder / "dense.onnx"

    def tuned(self, threads: int) -> Path:
        """Return a file tuned on this machine for ``threads``."""
        budget = f"{self._settings.tune_s:g}"
        name = f"tuned-{budget}s-{threads}"
        plan = str(self._folder / f"{name}.json")
        options = ("--tune", "--budget", budget, "--threads", str(threads), "--save-plan", plan)
        return self._converted(f"{name}.onnx", *options)

    def preferring(self, lowering: str, target: str = "cpu") -> Path:
        """Return what comes of one lowering wherever it serves."""
        options = ("--prefer", lowering, "--target", target)
        return self._converted(f"{target}-{lowering}.onnx", *options)

    def for_mnn(self, model: Path) -> Path:
        """Return ``model`` as MNN's own converter writes it."""
        out = model.with_suffix(".mnn")
        if not out.exists():
            # convert(), not main(): that one also reports to MNN's servers.
            paths = ["--modelFile", str(model), "--MNNModel", str(out)]
            _run(
                [sys.executable, "-c", MNN_CONVERT, "-f", "ONNX", *paths, "--bizCode", "benchmark"]
            )
            if not out.exists():
                raise CheckFailed(f"MNN's converter wrote nothing for {model.name}")
        return out

    def _converted(self, name: str, *options: str) -> Path:
        out = self._folder / name
        if not out.exists():
            checkpoint = str(self._made("checkpoint.pt"))
            command = [sys.executable, "-m", "legoexport", "convert", checkpoint, "--out", str(out)]
            _run([*command, *self._source(), *options])
        return out

    def _source(self) -> Iterator[str]:
        if not self._network.is_registered:
            size = str(self._network.size)
            yield from ("--model", self._network.arch, "--input-size", size, size)

    def _made(self, name: str) -> Path:
        path = self._folder / name
        if not path.exists():
            network = json.dumps(asdict(self._network))
            _run([sys.executable, "-m", "benchmarks.torch_side", network, str(self._folder)])
        return path


def _deciding_files() -> list[Path]:
    folders = [path for path in map(ROOT.joinpath, DECIDING) if path.is_dir()]
    files = [path for path in map(ROOT.joinpath, DECIDING) if path.is_file()]
    return sorted([*files, *(path for folder in folders for path in folder.rglob("*.py"))])


def _run(command: list[str]) -> None:
    """Run a command in the project's folder.

    Raises:
        CheckFailed: It fails.
    """
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-MESSAGE_LINES:])
        raise CheckFailed(shlex.join(command), received=said or f"exit code {done.returncode}")
