"""Every lowering on XNNPACK's own kernels, for layers of many geometries.

All layers of a lowering in one process: starting one costs more than running them.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from legoexport.lego.frozen import FrozenLego
from legoexport.passes.lowerings import LOWERINGS, Site, find_lowering
from legoexport.runtimes import Feed, find_runtime
from legoexport.runtimes.view import convolutions_line
from runtime_tests.layers import lowered, random_frozen
from runtime_tests.reference import rounding_scale, split_transform_merge
from runtime_tests.runtimes.side_by_side import side_by_side, split

pytestmark = [pytest.mark.runtimes, pytest.mark.usefixtures("needs_node")]

# As in runtime_tests/passes/test_lowerings.py: the longest sum has 4 * 8 * 9 + 1 terms.
SUM_TOLERANCE = 32 * float(np.finfo(np.float32).eps)
BATCH = 2
CHANNELS, HEIGHT, WIDTH = 32, 14, 11
RNG = np.random.default_rng(0)
LAYERS = {
    "3x3": random_frozen(RNG, padding=(1, 1)),
    "many maps": random_frozen(RNG, o=4, m=16, n=32, fragment_channels=8, padding=(1, 1)),
    "stride 2": random_frozen(RNG, padding=(1, 1), stride=(2, 2)),
    "dilation 2": random_frozen(RNG, padding=(2, 2), dilation=(2, 2)),
    "no padding, no bias": random_frozen(RNG, bias=False),
    "1x1": random_frozen(RNG, kernel=(1, 1), m=16, n=24, fragment_channels=16),
    "5x1": random_frozen(RNG, kernel=(5, 1), padding=(2, 0)),
    "one fragment": random_frozen(RNG, o=1, padding=(1, 1)),
}
SERVED = {
    name: [
        layer
        for layer, frozen in LAYERS.items()
        if not find_lowering(name).declines(Site("layer", frozen, (HEIGHT, WIDTH)))
    ]
    for name in LOWERINGS
}


def fix_batch(model_bytes: bytes) -> bytes:
    """The file with its open batch fixed; XNNPACK takes none that is open."""
    proto = onnx.load_from_string(model_bytes)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = BATCH
    del proto.graph.value_info[:]
    onnx.checker.check_model(proto, full_check=True)
    return proto.SerializeToString()


def test_every_lowering_has_a_layer_here() -> None:
    assert all(SERVED.values())


@pytest.mark.parametrize("name", LOWERINGS)
def test_layers_equal_the_definition(name: str) -> None:
    layers: dict[str, FrozenLego] = {layer: LAYERS[layer] for layer in SERVED[name]}
    models = [ir.to_proto(lowered(one, HEIGHT, WIDTH, name)) for one in layers.values()]
    shape = (BATCH, CHANNELS, HEIGHT, WIDTH)
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    model_bytes = fix_batch(side_by_side(models, CHANNELS))
    replay = find_runtime("xnnpack").run(model_bytes, [Feed(x, BATCH)])
    line = convolutions_line(replay.placement)
    assert line.startswith("all ")
    assert line.endswith("on xnnpack")
    inputs = [x[:, : one.c].astype(np.float64) for one in layers.values()]
    pairs = list(zip(inputs, layers.values(), strict=True))
    expected = [split_transform_merge(*pair) for pair in pairs]
    found = split(replay.outputs[0], [one.shape for one in expected])
    errors = [
        np.abs(actual - right).max() / rounding_scale(*pair) / find_lowering(name).rounding_growth
        for actual, right, pair in zip(found, expected, pairs, strict=True)
    ]
    wrong = [one for one, error in zip(layers, errors, strict=True) if not error <= SUM_TOLERANCE]
    assert not wrong
