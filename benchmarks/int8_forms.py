"""Time forms of a Lego layer in integers that the product does not have, beside those it has.

    python -m benchmarks.int8_forms --threads 1 --rounds 7

stacked   fragments as a batch, one convolution over the whole bank, then the dense 1x1 merge:
          no Split and no Concat; every filter for every fragment, and one scale a filter
mixed     one convolution per fragment; the dense 1x1 merge is computed in floats

A round times each model in a process of its own. A time is the least of all runs, since other work
on the machine only adds to it. Printed are multiples of the speed of the product's fastest form.
Before, each form is compared with ``int8_per_fragment`` on the same integers: rounding may part
them by a few steps of the output.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray

from benchmarks.layer_cases import SEED, LayerCase, time_model, write_model
from legoexport.passes.draft import Draft
from legoexport.passes.keep_floats import LOWEST
from legoexport.passes.lowerings import INT8_LOWERINGS, Site, find_lowering
from legoexport.passes.lowerings.base import convolution_attributes, stored_bias
from legoexport.passes.lowerings.int8.integers import (
    affine_constants,
    dequantize,
    integers_of,
    quantize,
    scales_of,
)
from legoexport.passes.lowerings.int8.maps import (
    filled_up,
    map_scales,
    map_weight,
    merge,
    merge_numbers,
)
from legoexport.passes.lowerings.int8.per_fragment import Int8PerFragment, joined_maps
from legoexport.passes.one_integer_layer import integer_site

PRODUCT = tuple(INT8_LOWERINGS)
YARDSTICK = Int8PerFragment.name
# (input channels, output channels, size, kernel, fragments, m / n)
CASES = [
    LayerCase(64, 64, 224, 3), LayerCase(128, 128, 112, 3), LayerCase(256, 256, 56, 3),
    LayerCase(512, 512, 28, 3), LayerCase(512, 512, 14, 3), LayerCase(512, 512, 14, 3, 4, 0.25),
    LayerCase(512, 512, 4, 3), LayerCase(128, 128, 28, 3), LayerCase(1024, 256, 14, 1),
    LayerCase(64, 256, 56, 1), LayerCase(512, 512, 14, 1),
]  # fmt: skip
# Sums of some thousand products rounded twice: maps to 8 bits, weights of the merge to 7.
MOST_STEPS = 8
ERRORS_ONLY = 3


class Stacked(Int8PerFragment):
    """Fragments as a batch: (b, o*c', h, w) is (b*o, c', h, w) in memory."""

    name = "stacked"

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add Reshape, Conv, QuantizeLinear, Reshape, and the merge."""
        frozen, scales = site.frozen, scales_of(site)
        rows, pairs = filled_up(frozen)
        entering = affine_constants(draft, "transform", "stacked", scales.input)
        shape = [-1, frozen.c // frozen.o, *site.input_size]
        stack = _reshaped(draft, "stack", integers_of(x), shape)
        weight = map_weight(draft, bank, map_scales(draft, site), (rows[0], pairs[0]), "")
        numbers = dequantize(draft, "transform", "stack_numbers", stack, entering)
        attributes = convolution_attributes(frozen, group=1)
        made = draft.node("transform", "conv", "Conv", [numbers, weight], attributes)
        constants = affine_constants(draft, "transform", "map", scales.map)
        maps = quantize(draft, "transform", "maps", made, constants)
        joined = _reshaped(draft, "joined", maps, [-1, rows.size, *site.output_size])
        return merge(draft, dequantize(draft, "merge", "maps", joined, constants), site)


class Mixed(Int8PerFragment):
    """Y = conv_1x1(dequantize(maps), k) + bias in floats."""

    name = "mixed"

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add what ``int8_per_fragment`` has up to Concat, then a Conv in floats."""
        frozen = site.frozen
        maps, constants = joined_maps(draft, x, bank, site)
        width = filled_up(frozen)[0].shape[1]
        dense = np.zeros((frozen.n, frozen.o * width, 1, 1), np.float32)
        for i, row in enumerate(frozen.selection.position):
            dense[np.arange(frozen.n), i * width + row, 0, 0] = merge_numbers(site)[i]
        values = [
            dequantize(draft, "merge", "numbers", maps, constants),
            draft.constant("merge", "k", dense),
            draft.constant("merge", "offset", stored_bias(frozen)),
        ]
        summed = draft.node("merge", "sum", "Conv", values, {"kernel_shape": [1, 1]})
        # Else ONNX Runtime makes integers of it: passes/keep_floats.py.
        return draft.node("merge", "kept", "Max", [summed, draft.constant("merge", "low", LOWEST)])


def _reshaped(draft: Draft, name: str, x: ir.Value, shape: list[int]) -> ir.Value:
    return draft.node(
        "transform", name, "Reshape", [x, draft.integers("transform", f"{name}_shape", shape)]
    )


def whole_bank(case: LayerCase) -> Site:
    """The layer with every filter in use by every fragment, and one scale a filter.

    It is what ``stacked`` computes, whatever the masks say.
    """
    site = case.integer_site
    rng, frozen = np.random.default_rng(SEED), site.frozen
    repeats = -(-frozen.n // frozen.m)
    index = np.stack([np.tile(rng.permutation(frozen.m), repeats) for _ in range(frozen.o)])
    return integer_site(replace(case.site, frozen=replace(frozen, index=index[:, : frozen.n])))


def outputs(path: Path, case: LayerCase) -> NDArray[np.int64]:
    """What the model makes of random integers."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    shape = (1, case.channels, case.size, case.size)
    x = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    return np.asarray(session.run(None, {"input": x})[0]).astype(np.int64)


def models(case: LayerCase, folder: Path) -> dict[str, Path]:
    """Write the layer in every form, and compare those that the product lacks."""
    sites = dict.fromkeys((*PRODUCT, Mixed.name), case.integer_site)
    sites[Stacked.name] = whole_bank(case)
    paths = {}
    for form, site in sites.items():
        if find_lowering(form).declines(site) is None:
            paths[form] = folder / f"{form}.onnx"
            write_model(site, form, paths[form])
    for form in (Mixed.name, Stacked.name):
        write_model(sites[form], YARDSTICK, folder / "yardstick.onnx")
        apart = np.abs(outputs(paths[form], case) - outputs(folder / "yardstick.onnx", case)).max()
        if apart > MOST_STEPS:
            raise SystemExit(f"{form} is {apart} steps from {YARDSTICK} in {case.name}")
    return paths


def times(case: LayerCase, threads: int, rounds: int, seconds: float) -> dict[str, float]:
    """Return the least time of each form, in ms."""
    taken: defaultdict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        paths = models(case, Path(name))
        for _ in range(rounds):
            for form, path in paths.items():
                taken[form].append(time_model(path, threads, seconds)["least_ms"])
    return {form: min(latencies_ms) for form, latencies_ms in taken.items()}


def main() -> None:
    """Print a row for each layer."""
    parser = argparse.ArgumentParser(description="Time forms that the product does not have.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3)
    arguments = parser.parse_args()
    for form in (Stacked(), Mixed()):
        INT8_LOWERINGS[form.name] = form
    new = (Stacked.name, Mixed.name)
    print("| layer | fastest of the product, ms |", " | ".join(new), "|", flush=True)
    for case in CASES:
        found = times(case, arguments.threads, arguments.rounds, arguments.seconds)
        best = min(PRODUCT, key=lambda form: found.get(form, float("inf")))
        speeds = " | ".join(f"{found[best] / found[form]:.2f}" for form in new)
        name = f"{case.name}, o={case.fragments} m={case.ratio}n"
        print(f"| {name} | `{best}` {found[best]:.2f} | {speeds} |", flush=True)


if __name__ == "__main__":
    main()
