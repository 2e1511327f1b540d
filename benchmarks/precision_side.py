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
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.labels import FILES
from benchmarks.networks import Network
from legoexport.compile.freeze import freeze
from legoexport.compile.pipeline import choose_plan, lower, prepare
from legoexport.compile.stages import CompileOptions, Prepared
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
    prepared = _prepared(module, example, options, calibrate)
    result = lower(prepared, choose_plan(prepared))
    return bytes(result.model.SerializeToString(deterministic=True))


def settled(network: Network, threads: int) -> Prepared:
    """Return a network in int8 before its plan is chosen, for so many ``threads``."""
    int8 = replace(_options(threads), precision="int8")
    shape = (network.channels, network.size, network.size)
    module = _built(network.arch, network.hyperparameters)
    return _prepared(module, torch.zeros(1, *shape), int8, _calibration(shape))


def five_files(module: nn.Module, shape: tuple[int, int, int], threads: int) -> dict[str, bytes]:
    """Return the files ``FILES``, planned for so many ``threads``; images are ``shape``."""
    calibrate, example = _calibration(shape), torch.zeros(1, *shape)
    fp32 = _options(threads)
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


def make(network: Mapping[str, Any], threads: int, folder: Path) -> None:
    """Build the network and write its files."""
    module = _built(network["arch"], network["hyperparameters"])
    shape = (network["channels"], network["size"], network["size"])
    for name, content in five_files(module, shape, threads).items():
        (folder / name).write_bytes(content)


def _built(arch: str, hyperparameters: Mapping[str, Any]) -> nn.Module:
    torch.manual_seed(SEED)
    return build(arch, **hyperparameters).eval()


def _options(threads: int) -> CompileOptions:
    target = TARGETS[this_processor().target or CPU.name]
    return CompileOptions(target=target, preference=Preference(threads=(threads,)))


def _calibration(shape: tuple[int, int, int]) -> CalibrationOptions:
    images = np.random.default_rng(SEED).standard_normal((IMAGES_COUNT, *shape), np.float32)
    return CalibrationOptions(CalibrationImages.of(images))


def _prepared(
    module: nn.Module,
    example: Tensor,
    options: CompileOptions,
    calibrate: CalibrationOptions | None,
) -> Prepared:
    network = freeze(round_weights(module, options.final_store), example)
    prepared = prepare(network, example, options)
    return prepared if calibrate is None else settle_scales(prepared, calibrate)[0]


if __name__ == "__main__":
    make(json.loads(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
