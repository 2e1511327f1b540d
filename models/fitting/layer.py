"""One Lego layer fitted to the dense filters that it replaces."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from legoexport.errors import CheckpointError
from legoexport.models.fitting.cluster import Clustering, FitOptions, cluster, gains
from legoexport.models.lego_conv import LegoConv2d

# The logits of a layer lie in [0, SPREAD + LEAD]: as close as those of a new layer (standard
# deviation 0.01), so that training can still change a choice, and the choice leads by enough that
# the audit of freezing finds no thin margin.
SPREAD = 0.05
LEAD = 0.02


@dataclass(frozen=True)
class LayerFit:
    """How well a Lego layer describes the dense layer.

    Attributes:
        layer: Dotted module name.
        vectors_count: Fragments of dense filters that were described, o * n.
        m: Lego filters that describe them.
        unused_filters_count: Lego filters that none of them chose.
        relative_error_ratio: Frobenius norm of the difference of the dense weights over that of
            the dense layer; 0 where both are zero.
        rounds_count: Rounds of assignment and least squares.
    """

    layer: str
    vectors_count: int
    m: int
    unused_filters_count: int
    relative_error_ratio: float
    rounds_count: int


@torch.no_grad()
def fit_layer(layer: LegoConv2d, weight: Tensor, name: str, options: FitOptions) -> LayerFit:
    """Set bank, masks and coefficients of ``layer`` so that it comes close to a dense weight.

    Coefficients that are not chosen get the value they would have if they were, so that a mask that
    changes its choice in training starts from the best scale.

    Args:
        layer: The layer; its bias is left as it is.
        weight: ``(n, c, kh, kw)`` dense weight.
        name: Name of the layer, for messages.
        options: How long to look.

    Raises:
        CheckpointError: The dense weight holds NaN or infinite values.
    """
    if not weight.isfinite().all():
        raise CheckpointError(f"layer {name}: the dense weight holds NaN or infinite values")
    vectors = fragments(weight, layer.o)
    scaled = layer.coefficients is not None
    found = normalized(cluster(vectors, layer.m, scaled=scaled, options=options))
    table = (layer.o, layer.out_channels, layer.m)
    shares, coefficients = gains(vectors, found.filters, scaled=scaled)
    index = found.assignment.index
    coefficients[torch.arange(len(index), device=index.device), index] = (
        found.assignment.coefficient
    )
    layer.lego.copy_(found.filters.reshape(layer.lego.shape))
    layer.mask_logits.copy_(logits(vectors, shares, index).reshape(table))
    if layer.coefficients is not None:
        layer.coefficients.copy_(coefficients.reshape(table))
    return LayerFit(
        layer=name,
        vectors_count=len(vectors),
        m=layer.m,
        unused_filters_count=int((torch.bincount(index, minlength=layer.m) == 0).sum()),
        relative_error_ratio=relative_error(weight, layer.weight()),
        rounds_count=len(found.squared_errors),
    )


def fragments(weight: Tensor, o: int) -> Tensor:
    """Cut dense filters ``(n, c, kh, kw)`` into vectors ``(o * n, c/o * kh * kw)``, float64.

    Row ``i * n + j`` is fragment i of filter j.
    """
    n = len(weight)
    return weight.double().reshape(n, o, -1).transpose(0, 1).reshape(o * n, -1)


def normalized(clustering: Clustering) -> Clustering:
    """Return the same description with coefficients of mean square 1 and positive sum, per filter.

    As in a new layer, the bank then carries the scale of the weights. Filters that nothing chose,
    or only with coefficient zero, stay as they are. A description without coefficients stays too.
    """
    filters, assignment = clustering.filters, clustering.assignment
    index, coefficient = assignment.index, assignment.coefficient
    zeros = filters.new_zeros(len(filters))
    energy = zeros.index_add(0, index, coefficient.square())
    sign = torch.where(zeros.index_add(0, index, coefficient) < 0, -1.0, 1.0)
    uses = zeros.index_add(0, index, torch.ones_like(coefficient))
    scale = torch.where(energy > 0, sign * (energy / uses.clamp(min=1)).sqrt(), 1.0)
    rescaled = type(assignment)(index, coefficient / scale[index], assignment.residual)
    return Clustering(filters * scale[:, None], rescaled, clustering.squared_errors)


def logits(vectors: Tensor, shares: Tensor, index: Tensor) -> Tensor:
    """Return mask logits ``(N, m)`` that prefer each filter by the share of the vector it explains.

    Args:
        vectors: ``(N, d)``.
        shares: ``(N, m)`` squared norm that each filter takes away from each vector.
        index: ``(N,)`` the choice, which leads.
    """
    norms = vectors.square().sum(1, keepdim=True)
    explained = (shares / torch.where(norms > 0, norms, 1.0)).clamp(0, 1)
    lead = torch.zeros_like(explained).scatter_(1, index[:, None], LEAD)
    return SPREAD * explained + lead


def relative_error(expected: Tensor, actual: Tensor) -> float:
    """Return the Frobenius norm of the difference over that of ``expected``; 0 for 0 / 0."""
    norm = float(expected.double().norm())
    return float((expected.double() - actual.double()).norm()) / norm if norm else 0.0
