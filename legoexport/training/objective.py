"""What a step minimizes: the labels, and what a teacher says of the same pictures."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from legoexport.models.fitting.distill import divergence
from legoexport.training.recipe import Recipe


def loss_sum(
    scores: Tensor, labels: Tensor, recipe: Recipe, teacher_scores: Tensor | None
) -> Tensor:
    """Return the loss, summed over the pictures of a batch.

    With a teacher's scores t, temperature T and weight w, for each picture with scores s::

        (1 - w) * cross_entropy(s, label) + w * T^2 * KL(softmax(t / T) || softmax(s / T))

    Hinton, Vinyals & Dean, 2015: the factor T^2 keeps the gradient of the second term as large as
    that of the first.

    Args:
        scores: ``(b, classes)`` of the network.
        labels: ``(b,)`` int64.
        recipe: Label smoothing, weight of the teacher, temperature.
        teacher_scores: ``(b, classes)``; None leaves the labels alone.
    """
    labelled = F.cross_entropy(
        scores, labels, label_smoothing=recipe.label_smoothing, reduction="sum"
    )
    if teacher_scores is None:
        return labelled
    temperature, weight = recipe.temperature, recipe.teacher_weight
    taught = divergence(scores / temperature, teacher_scores / temperature)
    return (1 - weight) * labelled + weight * temperature**2 * taught
