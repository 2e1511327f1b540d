"""Random Lego layers for property tests, and the graph with just one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
from hypothesis import strategies as st
from numpy.typing import NDArray

from legoexport.lego.frozen import FrozenLego
from legoexport.passes.lowerings import Site, Sums
from legoexport.passes.one_layer import lowered_layer, one_layer


@dataclass(frozen=True)
class LayerCase:
    """A layer and an input for it."""

    frozen: FrozenLego
    x: NDArray[np.float32]


def random_frozen(
    rng: np.random.Generator,
    *,
    o: int = 2,
    m: int = 6,
    n: int = 8,
    fragment_channels: int = 3,
    kernel: tuple[int, int] = (3, 3),
    bias: bool = True,
    pool_size: int | None = None,
    **geometry: tuple[int, int],
) -> FrozenLego:
    """Draw a layer; with ``pool_size`` each fragment chooses from its own few filters."""
    pools = [rng.permutation(m)[: pool_size or m] for _ in range(o)]
    return FrozenLego(
        lego=rng.standard_normal((m, fragment_channels, *kernel)).astype(np.float32),
        index=np.stack([rng.choice(pool, n) for pool in pools]).astype(np.int64),
        coefficient=rng.standard_normal((o, n)).astype(np.float32),
        bias=rng.standard_normal(n).astype(np.float32) if bias else None,
        **geometry,
    )


@st.composite
def layer_cases(draw: st.DrawFn, kernels: tuple[int, ...] = (1, 2, 3, 5)) -> LayerCase:
    """Any geometry a Lego layer can have, with maps large enough for its kernel."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kernel = (draw(st.sampled_from(kernels)), draw(st.sampled_from(kernels)))
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    dilation = draw(pair)
    padding = (draw(st.integers(0, kernel[0])), draw(st.integers(0, kernel[1])))
    m = draw(st.integers(1, 12))
    frozen = random_frozen(
        rng,
        o=draw(st.integers(1, 4)),
        m=m,
        n=draw(st.integers(1, 12)),
        fragment_channels=draw(st.integers(1, 5)),
        kernel=kernel,
        bias=draw(st.booleans()),
        pool_size=draw(st.integers(1, m)),
        stride=draw(pair),
        padding=padding,
        dilation=dilation,
    )
    least = [max(1, dilation[axis] * (kernel[axis] - 1) + 1 - 2 * padding[axis]) for axis in (0, 1)]
    height, width = (size + draw(st.integers(0, 12)) for size in least)
    batch = draw(st.integers(1, 3))
    x = rng.standard_normal((batch, frozen.c, height, width)).astype(np.float32)
    return LayerCase(frozen, x)


def lego_graph(frozen: FrozenLego, height: int, width: int, layer: str = "layer") -> ir.Model:
    """A model of one LegoConv2d node with an open batch."""
    return one_layer(Site(layer, frozen, (height, width)))


def lowered(
    frozen: FrozenLego, height: int, width: int, lowering: str, sums: Sums = "by blocks"
) -> ir.Model:
    """The same model in standard operators."""
    return lowered_layer(Site("layer", frozen, (height, width), sums), lowering)


def run(model: ir.Model, x: NDArray[Any]) -> NDArray[Any]:
    """Run a standard model in ONNX Runtime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    result: NDArray[Any] = session.run(None, {session.get_inputs()[0].name: x})[0]
    return result
