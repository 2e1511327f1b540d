"""What an epoch gave."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class EpochResult:
    """What one epoch gave; two are equal whatever time they took.

    Attributes:
        epoch: From 1 on.
        mean_loss: Over the training pictures, as they were shown.
        test_accuracy: Share of held-out pictures that are classified correctly.
        changed_choices_count: Mask entries that choose another Lego filter than an epoch before.
        learning_rate: Of its last step.
        training_seconds: That its steps took.
        images_per_second: Training pictures in that time.
    """

    epoch: int
    mean_loss: float
    test_accuracy: float
    changed_choices_count: int
    learning_rate: float
    training_seconds: float = field(compare=False)
    images_per_second: float = field(compare=False)
