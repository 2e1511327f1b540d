"""What an epoch gave."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class EpochResult:
    """What one epoch gave. Times are not compared.

    Attributes:
        epoch: Number of the epoch, from 1.
        mean_loss: Mean loss over the training pictures, as they were shown.
        test_accuracy: Share of held-out pictures that are classified correctly.
        changed_choices_count: Mask entries that choose another Lego filter than an epoch before.
        learning_rate: Learning rate of its last step.
        training_seconds: Time that its steps took.
        images_per_second: Training pictures per second of that time.
    """

    epoch: int
    mean_loss: float
    test_accuracy: float
    changed_choices_count: int
    learning_rate: float
    training_seconds: float = field(compare=False)
    images_per_second: float = field(compare=False)
