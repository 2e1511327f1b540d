"""The layout of the published LegoNet code, translated into ours.

Its Lego layers hold ``lego (m, c/o, k, k)``, ``aux_coefficients (o, n, m, 1, 1)`` and
``aux_combination (o, n, m, 1, 1)``; the mask is one at the largest entry of the last along m. Which
network it is follows from the shapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

from legoexport.errors import CheckpointError
from legoexport.models.checkpoint.damage import MalformedFileError
from legoexport.models.checkpoint.tensors import StoredTensor

PUBLISHED_ARCH = "lego_vgg16"
_MASK = "aux_combination"
_NAMES = {"aux_coefficients": "coefficients", _MASK: "mask_logits"}
_MASK_DIMENSIONS = 5
_KERNEL_DIMENSIONS = 4
_PAPER_CONVOLUTIONS = 13
_KERNEL = re.compile(r"(features\.\d{1,9})\.(?:lego|weight)")


def is_published(tensors: Mapping[str, StoredTensor]) -> bool:
    """Whether the names are those of the published code."""
    return any(name.endswith(f".{_MASK}") for name in tensors)


def translate(tensors: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Give the published code's tensors our names and shapes.

    Args:
        tensors: Weights by dotted name.

    Returns:
        The same weights under our names; those of other layers as they are.

    Raises:
        CheckpointError: A mask or coefficient tensor that is not ``(o, n, m, 1, 1)``.
        MalformedFileError: A tensor has our name already.
    """
    translated = {}
    for name, tensor in tensors.items():
        layer, _, own_name = name.rpartition(".")
        if own_name in _NAMES.values():
            raise MalformedFileError(f"{name} among tensors with the names of the published code")
        if own_name in _NAMES:
            _check_mask_shape(name, tensor)
            translated[f"{layer}.{_NAMES[own_name]}"] = _squeezed(tensor)
        else:
            translated[name] = tensor
    return translated


def _check_mask_shape(name: str, tensor: StoredTensor) -> None:
    if len(tensor.shape) != _MASK_DIMENSIONS or tensor.shape[3:] != (1, 1) or 0 in tensor.shape:
        raise CheckpointError(
            f"{name} has a shape that no Lego layer has",
            received=tensor.shape,
            legal="(o, n, m, 1, 1)",
        )


def _squeezed(tensor: StoredTensor) -> StoredTensor:
    shape = tensor.shape[:3]
    return StoredTensor(tensor.dtype, shape, lambda dtype: tensor.read(dtype).reshape(shape))


def infer_hyperparameters(tensors: Mapping[str, StoredTensor]) -> dict[str, object]:
    """Tell from the shapes which published network this is.

    Args:
        tensors: Weights under our names, see `translate`.

    Returns:
        Arguments of the ``lego_vgg16`` architecture.

    Raises:
        CheckpointError: o does not divide a layer's input channels, or a layer is missing.
        MalformedFileError: A layer lacks one of its tensors.
    """
    convolutions = _convolutions(tensors)
    _check_fragments(tensors, convolutions)
    masks = [
        tensors[f"{layer}.mask_logits"].shape for layer in convolutions if _is_lego(tensors, layer)
    ]
    if not masks:
        raise CheckpointError(
            "the published code's Lego layers, in another network than its lego_vgg16",
            received=f"{len(tensors)} tensors, none of them features.N.lego",
            next_step="name the network with --model package.module:factory",
        )
    # int(n * ratio) is exact for every narrower layer too, their n being divisors of the widest.
    o, n, m = max(masks, key=lambda shape: shape[1])
    classifier = tensors.get("classifier.weight")
    if classifier is None or not classifier.shape:
        raise CheckpointError("there is no classifier.weight, so the classes cannot be counted")
    return {
        "o": o,
        "m_ratio": m / n,
        "classes": classifier.shape[0],
        "form": "paper" if len(convolutions) <= _PAPER_CONVOLUTIONS else "published",
        "coefficients": any(name.endswith(".coefficients") for name in tensors),
    }


def _is_lego(tensors: Mapping[str, StoredTensor], layer: str) -> bool:
    return f"{layer}.mask_logits" in tensors


def _convolutions(tensors: Mapping[str, StoredTensor]) -> list[str]:
    """Names of the convolutions, dense and Lego, in network order (a file's may be any)."""
    kernels = (
        _KERNEL.fullmatch(name)
        for name, tensor in tensors.items()
        if len(tensor.shape) == _KERNEL_DIMENSIONS
    )
    return sorted(
        (kernel[1] for kernel in kernels if kernel),
        key=lambda layer: int(layer.removeprefix("features.")),
    )


def _check_fragments(tensors: Mapping[str, StoredTensor], convolutions: list[str]) -> None:
    """The published layer drops the channels left over where o does not divide them: refuse it."""
    for before, layer in pairwise(convolutions):
        if not _is_lego(tensors, layer):
            continue
        o = tensors[f"{layer}.mask_logits"].shape[0]
        c = _output_channels(tensors, before)
        if c % o:
            raise CheckpointError(
                f"{layer} splits {c} input channels into o fragments, and o does not "
                f"divide them; the code that trained it ignored the last {c % o}",
                received=f"o = {o}",
                legal=f"a divisor of {c}",
                next_step="train the network again with a legal o",
            )


def _output_channels(tensors: Mapping[str, StoredTensor], layer: str) -> int:
    if _is_lego(tensors, layer):
        return tensors[f"{layer}.mask_logits"].shape[1]
    weight = tensors.get(f"{layer}.weight")
    if weight is None or not weight.shape:
        raise MalformedFileError(f"{layer} has neither a mask nor a weight")
    return weight.shape[0]
