"""Freeze: masks become index tables, and an audit says how firmly they had settled."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from legoexport.compile.check_network import check_network
from legoexport.compile.example import Example, inputs_of, random_like
from legoexport.errors import CheckFailed, CheckpointError, UsageError
from legoexport.lego.frozen import FrozenLego
from legoexport.models.frozen_conv import FrozenLegoConv2d
from legoexport.models.lego_conv import LegoConv2d
from legoexport.models.outputs import output_tensors
from legoexport.models.plain_copy import plain_copy
from legoexport.models.replace_layers import replace_layers
from legoexport.models.run import run_network

# A margin below this share of the spread of a layer's logits could flip with a step of training.
THIN_MARGIN = 1e-3

# Training form and frozen form compute the same float64 sums in another order; 1e-9 of the output's
# range is a million roundings, and a single wrong table entry is of the order of 1e-1.
AGREEMENT_TOLERANCE = 1e-9
NAMED_COUNT = 5


@dataclass(frozen=True)
class LayerAudit:
    """How settled one layer's masks are and how its bank is used.

    Attributes:
        layer: Dotted module name.
        entries_count: Number of choices, o * n.
        ties_count: Choices where two filters share the largest logit (the first one is taken).
        thin_margins_count: Choices whose lead over the runner-up is below ``THIN_MARGIN`` of the
            standard deviation of the layer's logits.
        least_margin: The smallest lead, in units of the logits.
        unused_filters_count: Lego filters that nothing chooses.
        evenness_ratio: Entropy of the use of the filters over its maximum, 1 for even use.
    """

    layer: str
    entries_count: int
    ties_count: int
    thin_margins_count: int
    least_margin: float
    unused_filters_count: int
    evenness_ratio: float


@dataclass(frozen=True)
class FrozenNetwork:
    """A network whose Lego layers are frozen, in eval mode, and what freezing found.

    Attributes:
        module: The network; every LegoConv2d is now a FrozenLegoConv2d.
        layers: The frozen layers by dotted module name, in module order.
        audits: One audit per layer, in the same order.
        agreement: Largest float64 difference between training form and frozen form on random input,
            relative to the output's range.
    """

    module: nn.Module
    layers: Mapping[str, FrozenLego]
    audits: tuple[LayerAudit, ...]
    agreement: float


def freeze(module: nn.Module, example: Example) -> FrozenNetwork:
    """Return a frozen copy of ``module`` in eval mode; ``module`` itself stays as it is.

    Args:
        module: A network with LegoConv2d layers, in training form, in any mode.
        example: One batch of every input; their shapes are used for the random inputs of the
            agreement check.

    Raises:
        CheckpointError: A table holds NaN or infinite values.
        UsageError: The network cannot be copied, does not run on the example, or has a Lego layer
            that computes more than that.
        CheckFailed: The frozen network does not compute what the training form computes, or that
            gives NaN or infinite outputs.
    """
    training_form = plain_copy(module)
    check_network(training_form)
    frozen_form = copy.deepcopy(training_form)
    layers: dict[str, FrozenLego] = {}
    audits: list[LayerAudit] = []
    replacements: dict[nn.Module, nn.Module] = {}
    for name, layer in frozen_form.named_modules():
        if isinstance(layer, LegoConv2d):
            layers[name] = freeze_layer(layer, name)
            audits.append(audit_layer(layer, name))
            replacements[layer] = FrozenLegoConv2d(layers[name])
    frozen_form = replace_layers(frozen_form, replacements).eval()
    agreement = _agreement(training_form, frozen_form, example)
    return FrozenNetwork(frozen_form, layers, tuple(audits), agreement)


def freeze_layer(layer: LegoConv2d, name: str) -> FrozenLego:
    """Turn the masks of one layer into tables.

    Raises:
        CheckpointError: A weight is NaN or infinite.
    """
    for parameter, tensor in layer.named_parameters():
        if not tensor.isfinite().all():
            raise CheckpointError(
                f"layer {name}: {parameter} holds NaN or infinite values",
                next_step="train again from a checkpoint before the divergence",
            )
    choices = layer.choices().detach().cpu()
    coefficient = torch.ones(choices.shape)
    if layer.coefficients is not None:
        coefficient = layer.coefficients.detach().cpu().gather(2, choices[..., None])[..., 0]
    return FrozenLego(
        lego=_float32(layer.lego),
        index=choices.numpy().astype(np.int64),
        coefficient=_float32(coefficient),
        bias=None if layer.bias is None else _float32(layer.bias),
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
    )


def audit_layer(layer: LegoConv2d, name: str) -> LayerAudit:
    """Look at the margins of the argmax and at the use of the bank."""
    logits = layer.mask_logits.detach().double().cpu()
    m = logits.shape[2]
    margins = torch.full(logits.shape[:2], float("inf"), dtype=torch.float64)
    if m > 1:
        top = logits.topk(2, dim=2).values
        margins = top[..., 0] - top[..., 1]
    use = np.bincount(layer.choices().detach().cpu().numpy().reshape(-1), minlength=m)
    return LayerAudit(
        layer=name,
        entries_count=margins.numel(),
        ties_count=int((margins == 0).sum()),
        thin_margins_count=int((margins < THIN_MARGIN * logits.std(correction=0)).sum()),
        least_margin=float(margins.min()),
        unused_filters_count=int((use == 0).sum()),
        evenness_ratio=_evenness(use),
    )


def _evenness(use: np.ndarray) -> float:
    if len(use) == 1:
        return 1.0
    share = use[use > 0] / use.sum()
    return float(-(share * np.log(share)).sum() / np.log(len(use)))


def _float32(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().float().numpy().copy()


def _agreement(training_form: nn.Module, frozen_form: nn.Module, example: Example) -> float:
    inputs = [random_like(one) for one in inputs_of(example)]
    expected, actual = _outputs(training_form, inputs), _outputs(frozen_form, inputs)
    if not all(one.isfinite().all() for one in expected):
        raise CheckFailed(
            "the network gives NaN or infinite outputs in PyTorch, so there is nothing to equal",
            received=_not_finite(training_form) or "finite weights",
            next_step="train again from a checkpoint before the divergence",
        )
    difference = max(map(_difference, expected, actual))
    if difference <= AGREEMENT_TOLERANCE:
        return difference
    if not all(map(torch.equal, expected, _outputs(training_form, inputs))):
        raise UsageError(
            f"network {type(training_form).__name__} computes something else each time it is run",
            received="two different outputs for one input, in eval mode",
            next_step="take random numbers out of its forward, or give them as an input",
        )
    _refuse_additions(training_form)
    raise CheckFailed(
        "the frozen network does not compute what the training form computes",
        received=f"difference of {difference:.1e} of the output's range",
        legal=f"at most {AGREEMENT_TOLERANCE:.0e}",
    )


def _refuse_additions(training_form: nn.Module) -> None:
    """Name a Lego layer to which something was added; what only looks on does no harm."""
    for name, layer in training_form.named_modules():
        if isinstance(layer, LegoConv2d) and (added := _added(layer)):
            raise UsageError(
                f"layer {name} computes more than a Lego layer does, and tables cannot hold it",
                received=", ".join(added),
                legal="LegoConv2d as it is",
                next_step="move what is added into a module before or after the layer",
            )


def _added(layer: LegoConv2d) -> list[str]:
    function = getattr(layer.forward, "__func__", None)
    found = {
        "a forward hook": layer._forward_hooks,
        "a forward pre-hook": layer._forward_pre_hooks,
        "a forward of its own": function is not LegoConv2d.forward,
    }
    return [what for what, is_there in found.items() if is_there]


def _not_finite(module: nn.Module) -> str:
    """Name the weights that hold NaN or infinite values."""
    state = module.state_dict()
    names = [name for name, tensor in state.items() if not tensor.isfinite().all()]
    return f"NaN or infinite values in {', '.join(names[:NAMED_COUNT])}" if names else ""


def _outputs(form: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    given = run_network(copy.deepcopy(form).double(), inputs, torch.float64)
    return list(output_tensors(given, len(inputs[0])))


def _difference(expected: Tensor, actual: Tensor) -> float:
    """Largest difference, as a share of the range; indices and masks differ by numbers too."""
    expected, actual = expected.double(), actual.double()
    spread = float(expected.max() - expected.min()) or 1.0
    return float((expected - actual).abs().max()) / spread
