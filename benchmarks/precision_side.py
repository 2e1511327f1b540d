"""What the precisions need of PyTorch: five files of one network, none of them proved.

    python -m benchmarks.precision_side NETWORK_JSON THREADS FOLDER

writes a file for each of ``FILES``, in a process of its own, made for the target that ``doctor``
names for the processor: with VNNI, integers have all eight bits. The weights are random, and so
are the images that calibrate: latency and size depend on neither. Every file is compared with the
dense one before it is timed.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.labels import FILES
from legoexport.compile.freeze import freeze
from legoexport.compile.pipeline import choose_plan, lower, prepare
from legoexport.compile.stages import CompileOptions
from legoexport.deliver.dense_twin import convert_dense_twin
from legoexport.host.processor import this_processor
from legoexport.models.registry import build
from legoexport.models.round_weights import round_weights
from legoexport.passes.preference import Preference
from legoexport.quantize.images import CalibrationImages
from legoexport.quantize.settle import CalibrationOptions, settle_scales
from legoexport.target import CPU, TARGETS

SEED = 0
IMAGES_COUNT = 4


def compiled(
    module: nn.Module,
    example: Tensor,
    options: CompileOptions,
    calibrate: CalibrationOptions | None = None,
) -> bytes:
    """Return the file of a network as ``convert`` makes it, without its proof and its stamp."""
    network = freeze(round_weights(module, options.final_store), example)
    prepared = prepare(network, example, options)
    if calibrate is not None:
        prepared, _ = settle_scales(prepared, calibrate)
    result = lower(prepared, choose_plan(prepared))
    return bytes(result.model.SerializeToString(deterministic=True))


def five_files(module: nn.Module, shape: tuple[int, int, int], threads: int) -> dict[str, bytes]:
    """Return the files ``FILES``, planned for so many ``threads``; images are ``shape``."""
    images = np.random.default_rng(SEED).standard_normal((IMAGES_COUNT, *shape), np.float32)
    calibrate = CalibrationOptions(CalibrationImages.of(images))
    example, preference = torch.zeros(1, *shape), Preference(threads=(threads,))
    target = TARGETS[this_processor().target or CPU.name]
    fp32 = CompileOptions(target=target, preference=preference)
    stored = replace(fp32, store="int8")
    int8 = replace(fp32, precision="int8")
    made = (
        convert_dense_twin(module, example, fp32),
        convert_dense_twin(module, example, int8, calibrate),
        compiled(module, example, fp32),
        compiled(module, example, stored),
        compiled(module, example, int8, calibrate),
    )
    return dict(zip(FILES.values(), made, strict=True))


def make(network: dict[str, object], threads: int, folder: Path) -> None:
    """Build the network and write its files."""
    torch.manual_seed(SEED)
    arguments = dict(network["hyperparameters"])  # type: ignore[call-overload]
    module = build(str(network["arch"]), **arguments).eval()
    size = int(str(network["size"]))
    files = five_files(module, (int(str(network["channels"])), size, size), threads)
    for name, content in files.items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    make(json.loads(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
