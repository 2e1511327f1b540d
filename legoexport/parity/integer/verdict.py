"""The verdict on a file that computes in int8: its layers are proved, its outputs are measured.

What integers cost the outputs depends on the network and on the images, so there is no limit to
hold them to. Whether the file computes what it should is for the layers to show, and for the
comparison with the file that its checkpoint and its scales give.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from legoexport.errors import UsageError
from legoexport.lego.file_facts import read_facts
from legoexport.lego.frozen import FrozenLego
from legoexport.lego.scales import LIMITS
from legoexport.lego.storage import IntegerStore
from legoexport.ort.session import RuntimeModel
from legoexport.parity.agreement import Agreement
from legoexport.parity.integer.check import IntegerAgreement
from legoexport.parity.integer.dense_walk import walk_between
from legoexport.parity.integer.walk import first_wrong, walk_integers
from legoexport.parity.judge import measure_freely
from legoexport.parity.layer_check import LayerAgreement
from legoexport.parity.pair import ModelPair

INTEGERS_NOTE = (
    "the file computes in int8: its layers are proved integer by integer, and its outputs are"
    " measured against PyTorch without a limit (random images leave the calibrated ranges)"
)


def measure_outputs(pair: ModelPair) -> dict[str, Agreement]:
    """Measure the first output on each set, without integer kernels, which may overflow here."""
    runtime = RuntimeModel(pair.opened.model_bytes, pair.opened.threads, integer_kernels=False)
    agreements = {}
    for inputs, reference in zip(pair.inputs, pair.references, strict=True):
        actual = next(iter(runtime.run_all(inputs.arrays, inputs.batch_size).values()))
        agreements[inputs.name] = measure_freely(reference.outputs[0].float64, actual)
    return agreements


def prove_layers(
    pair: ModelPair, layers: Mapping[str, FrozenLego], unrounded: onnx.ModelProto | None
) -> tuple[tuple[LayerAgreement, ...], tuple[str, ...]]:
    """Walk the layers, on the last set of inputs, which holds real images if there are any.

    Args:
        pair: The file and its network.
        layers: Its Lego layers before they are lowered, from the checkpoint.
        unrounded: The network before anything in it became an integer; None if it does not compile.

    Returns:
        An entry for each Lego layer and for all else that gives a wrong integer, and a sentence on
        the first Lego layer and the first other node that does.
    """
    opened, images = pair.opened, pair.inputs[-1].images
    store = integer_store(opened.model)
    found = walk_integers(opened.model, layers, store, images, opened.threads)
    between = (
        ()
        if unrounded is None
        else walk_between(opened.model, unrounded, store, images, opened.threads)
    )
    wrong = [one for one in (first_wrong(found), first_wrong(between)) if one is not None]
    rows = (*found, *(one for one in between if not one.passed))
    causes = tuple(f"first at fault: {one}" for one in wrong)
    return tuple(map(layer_agreement, rows)), causes


def integer_store(model: onnx.ModelProto) -> IntegerStore:
    """Return how large the codes of a file are.

    Raises:
        UsageError: It says that it holds no codes.
    """
    store = read_facts(model).store
    if store not in ("int8", "int7"):
        raise UsageError(
            "legoexport.store in the model's metadata is damaged",
            received=store,
            legal="int8 or int7 in a file that computes in int8",
        )
    return store


def layer_agreement(one: IntegerAgreement) -> LayerAgreement:
    """Return the row of a layer: no wrong integer is within a limit, and every right one is.

    Ties of several maps may move a right integer by more than one step.
    """
    lowest, highest = LIMITS["uint8"]
    return LayerAgreement(
        layer=one.layer,
        lowering=one.lowering,
        relative_error=one.largest_step_difference / (highest - lowest),
        limit_ratio=min(1.0, one.largest_step_difference) if one.passed else float("inf"),
        worst_channel=one.first_wrong_channel or 0,
    )
