"""Time every lowering of single Lego layers against the dense convolution, interleaved.

    python benchmarks/lowerings.py --threads 1 --fragments 2 --ratio 0.5 --rounds 5 --machine FILE

A round times each model in a process of its own: sessions that share one spin against each other.
Printed are medians over rounds as multiples of the dense speed, and the largest error against
float64 relative to the largest output. Isolated layers keep their weights in cache and pay for
reordering that neighbours would share: judge a plan in the whole model. The last lines hold the
cost model against what was measured: how much slower its choice is than the best lowering, with the
built-in constants and with those of each ``--machine FILE`` of ``legoexport calibrate``. A time is
the median over rounds; other work on the machine only adds to it, and with ``--fastest`` the least
of all runs counts instead.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray

from legoexport.lego.frozen import FrozenLego
from legoexport.measure.calibration.kept import read_constants
from legoexport.passes.lowerings import LOWERINGS, Site, find_lowering
from legoexport.passes.machine_constants import BUILT_IN, MachineConstants
from legoexport.passes.preference import Preference, preferred_plan
from legoexport.target import CPU
from runtime_tests.layers import lowered
from runtime_tests.reference import split_transform_merge

# (input channels, output channels, size, kernel): VGG16, ResNet-50 and MobileNet.
LAYERS = [
    (64, 64, 224, 3), (64, 128, 112, 3), (128, 128, 112, 3), (256, 256, 56, 3),
    (512, 512, 28, 3), (512, 512, 14, 3), (64, 64, 56, 3), (128, 128, 28, 3), (256, 256, 14, 3),
    (512, 512, 7, 3), (512, 512, 4, 3), (64, 256, 56, 1), (512, 128, 28, 1), (1024, 256, 14, 1),
    (1024, 512, 14, 1), (512, 2048, 7, 1), (512, 512, 14, 1),
]  # fmt: skip
SEED = 0


def main() -> None:
    """Print a line for each layer."""
    arguments = _arguments()
    if arguments.worker:
        runs_s = _run_seconds(arguments.worker, arguments.threads, arguments.seconds)
        print(min(runs_s) if arguments.fastest else np.median(runs_s))
        return
    machines = {"built-in constants": BUILT_IN}
    machines |= {path.name: read_constants(path) for path in arguments.machine}
    slowdowns: dict[tuple[int, str], list[float]] = defaultdict(list)
    for channels, outputs, size, kernel in LAYERS:
        frozen = _layer(channels, outputs, kernel, arguments.fragments, arguments.ratio)
        x = np.random.default_rng(SEED).standard_normal((1, channels, size, size))
        with tempfile.TemporaryDirectory() as folder:
            models = _write_models(frozen, size, Path(folder))
            times = _interleaved(models, arguments)
            errors = _errors(models, frozen, x.astype(np.float32))
        name = f"{channels}->{outputs}@{size} {kernel}x{kernel}"
        print(f"{name}, dense {1e3 * times['dense']:.3f} ms")
        chosen = {
            name: _chosen(frozen, size, arguments.threads, constants)
            for name, constants in machines.items()
        }
        for name, lowering in chosen.items():
            slowdowns[kernel, name].append(times[lowering] / min(times.values()))
        for lowering, taken in sorted(times.items(), key=lambda item: item[1]):
            ratio, error = times["dense"] / taken, errors[lowering]
            choosers = [name for name, choice in chosen.items() if choice == lowering]
            mark = f"  <- {', '.join(choosers)}" if choosers else ""
            print(f"  {lowering:24} {ratio:5.2f}x   error {error:.1e}{mark}", flush=True)
    for (kernel, name), ratios in slowdowns.items():
        _print_slowdown(f"{kernel}x{kernel}, {arguments.threads} threads, {name}", ratios)
    for name in machines:
        ratios = [one for (_, of), ratios in slowdowns.items() if of == name for one in ratios]
        _print_slowdown(f"all, {arguments.threads} threads, {name}", ratios)


def _print_slowdown(what: str, ratios: Sequence[float]) -> None:
    mean, worst = np.mean(ratios), max(ratios)
    print(
        f"{what}: the cost model's choice takes {mean:.3f} times as long as the best on the mean,"
        f" at worst {worst:.2f}"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time every lowering of single Lego layers.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fragments", type=int, default=2, help="o")
    parser.add_argument("--ratio", type=float, default=0.5, help="Lego filters per output, m / n")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="for one model in one round")
    parser.add_argument("--fastest", action="store_true", help="count the least time, no median")
    parser.add_argument(
        "--machine", type=Path, action="append", default=[], help="of legoexport calibrate --out"
    )
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _layer(channels: int, outputs: int, kernel: int, o: int, ratio: float) -> FrozenLego:
    rng, m = np.random.default_rng(SEED), int(outputs * ratio)
    shape = (m, channels // o, kernel, kernel)
    gain = 1 / np.sqrt(channels * kernel**2)
    return FrozenLego(
        lego=(gain * rng.standard_normal(shape)).astype(np.float32),
        index=rng.integers(0, m, (o, outputs)),
        coefficient=rng.standard_normal((o, outputs)).astype(np.float32),
        bias=np.zeros(outputs, np.float32),
        padding=(kernel // 2, kernel // 2),
    )


def _chosen(frozen: FrozenLego, size: int, threads: int, constants: MachineConstants) -> str:
    site = Site("layer", frozen, (size, size))
    wish = Preference(threads=(threads,), constants=constants)
    return preferred_plan([site], CPU, wish).lowerings["layer"]


def _write_models(frozen: FrozenLego, size: int, folder: Path) -> dict[str, Path]:
    paths = {}
    for name in LOWERINGS:
        if find_lowering(name).declines(Site("layer", frozen, (size, size))) is None:
            paths[name] = folder / f"{name}.onnx"
            ir.save(lowered(frozen, size, size, name), paths[name])
    return paths


def _interleaved(models: Mapping[str, Path], arguments: argparse.Namespace) -> dict[str, float]:
    options = ["--threads", str(arguments.threads), "--seconds", str(arguments.seconds)]
    options += ["--fastest"] * arguments.fastest
    over_rounds = min if arguments.fastest else np.median
    samples: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(arguments.rounds):
        for name, path in models.items():
            command = [sys.executable, __file__, *options, "--worker", str(path)]
            result = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this file
            samples[name].append(float(result.stdout))
    return {name: float(over_rounds(taken)) for name, taken in samples.items()}


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _run_seconds(path: Path, threads: int, duration: float) -> list[float]:
    session = _session(path, threads)
    shape = [size if isinstance(size, int) else 1 for size in session.get_inputs()[0].shape]
    x = np.random.default_rng(SEED).standard_normal(shape).astype(np.float32)
    taken: list[float] = []
    end = time.perf_counter() + duration
    while time.perf_counter() < end or len(taken) < 5:  # noqa: PLR2004 - enough for a median
        start = time.perf_counter()
        session.run(None, {"input": x})
        taken.append(time.perf_counter() - start)
    return taken[1:]


def _errors(
    models: Mapping[str, Path], frozen: FrozenLego, x: NDArray[np.float32]
) -> dict[str, float]:
    exact = split_transform_merge(x.astype(np.float64), frozen)
    largest = np.abs(exact).max()
    return {
        name: float(np.abs(_session(path, 1).run(None, {"input": x})[0] - exact).max() / largest)
        for name, path in models.items()
    }


if __name__ == "__main__":
    main()
