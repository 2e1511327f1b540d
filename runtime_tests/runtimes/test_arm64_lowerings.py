"""Every lowering on ONNX Runtime's own arm64 kernels, on each processor that is emulated.

All of them in one process for each processor: starting one costs more than running them.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from legoexport.passes.lowerings import LOWERINGS, Site, find_lowering
from legoexport.runtimes import Feed, find_runtime
from legoexport.runtimes.arm64.processors import EMULATED
from runtime_tests.layers import lowered, random_frozen
from runtime_tests.reference import rounding_scale, split_transform_merge
from runtime_tests.runtimes.side_by_side import side_by_side, split

pytestmark = [pytest.mark.runtimes, pytest.mark.usefixtures("needs_arm64")]

# As in runtime_tests/passes/test_lowerings.py: the longest sum has 4 * 8 * 9 + 1 terms.
SUM_TOLERANCE = 32 * float(np.finfo(np.float32).eps)
CHANNELS, HEIGHT, WIDTH = 32, 14, 11
RNG = np.random.default_rng(0)
LAYERS = {
    "3x3": random_frozen(RNG, padding=(1, 1)),
    "many maps": random_frozen(RNG, o=4, m=16, n=32, fragment_channels=8, padding=(1, 1)),
    "stride 2": random_frozen(RNG, padding=(1, 1), stride=(2, 2)),
    "dilation 2": random_frozen(RNG, padding=(2, 2), dilation=(2, 2)),
    "no padding, no bias": random_frozen(RNG, bias=False),
    "unequal padding": random_frozen(RNG, padding=(1, 0)),
    "1x1": random_frozen(RNG, kernel=(1, 1), m=16, n=24, fragment_channels=16),
    "5x1": random_frozen(RNG, kernel=(5, 1), padding=(2, 0)),
    "one fragment": random_frozen(RNG, o=1, padding=(1, 1)),
}


SERVED = [
    (name, layer)
    for name in LOWERINGS
    for layer, frozen in LAYERS.items()
    if not find_lowering(name).declines(Site("layer", frozen, (HEIGHT, WIDTH)))
]


def test_every_lowering_has_a_layer_here() -> None:
    assert {name for name, _ in SERVED} == set(LOWERINGS)


@pytest.mark.parametrize("processor", EMULATED)
def test_layers_equal_the_definition(processor: str) -> None:
    models = [ir.to_proto(lowered(LAYERS[layer], HEIGHT, WIDTH, name)) for name, layer in SERVED]
    # One image at a time as on a phone: some of KleidiAI's kernels take no other batch.
    shape = (2, CHANNELS, HEIGHT, WIDTH)
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    runtime = find_runtime(f"arm64:{processor}")
    (outputs,) = runtime.run(side_by_side(models, CHANNELS), [Feed(x, 1)]).outputs

    inputs = {layer: x[:, : one.c].astype(np.float64) for layer, one in LAYERS.items()}
    expected = {layer: split_transform_merge(inputs[layer], one) for layer, one in LAYERS.items()}
    scales = {layer: rounding_scale(inputs[layer], one) for layer, one in LAYERS.items()}
    found = split(outputs, [expected[layer].shape for _, layer in SERVED])
    errors = [
        np.abs(actual - expected[layer]).max() / scales[layer] / find_lowering(name).rounding_growth
        for (name, layer), actual in zip(SERVED, found, strict=True)
    ]
    wrong = [one for one, error in zip(SERVED, errors, strict=True) if not error <= SUM_TOLERANCE]
    assert not wrong
