"""Recipes say what a training does. Presets come from the paper and its code, or are short.

The paper and its code agree on batch, rate, momentum, decay, warm-up and balance. Where the code
goes its own way (train.py of LegoNet_pytorch) `published` follows it: a cosine with one step an
epoch, begun anew with an empty momentum when the masks freeze, and decay of the mask logits too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

from legoexport.errors import UsageError

SCHEDULES = ("one_cycle", "cosine", "step")
PADDINGS = ("constant", "replicate")


@dataclass(frozen=True)
class Recipe:
    """How to train; `legoexport.training.schedule` says what the schedules do.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images per step, over all processes together.
        learning_rate: The highest rate of the schedule.
        schedule: One of ``SCHEDULES``.
        bank_step_ratio: The highest step of a bank, as a share of its norm, with all directions
            of its gradient made equally long (Muon); 0 leaves banks to SGD.
        coefficient_step_ratio: The highest step of a layer's coefficients, as a share of their
            norm; 0 leaves them to SGD.
        momentum: Momentum of SGD, and of the steps of banks and coefficients.
        nesterov: Whether the momentum looks ahead.
        weight_decay: Weight decay of SGD.
        decays_masks: Whether the decay acts on mask logits too.
        mask_rate_ratio: Learning rate of the mask logits over that of all other parameters. A
            choice that changes loses what its output had learned with the filter before.
        label_smoothing: Label smoothing of the cross entropy.
        balance_weight: Weight of the published balance term on the mask logits; 0 leaves it out.
        warmup_epochs: Epochs after which the masks are frozen; None never freezes them.
        warmup_scales: Whether the warm-up scales with the number of epochs.
        restarts_after_warmup: Whether momentum and schedule begin anew when the masks freeze.
        flips: Whether a random half of the pictures is mirrored.
        max_shift_pixels: Pictures are shifted at random by up to this many pixels either way.
        padding: What a shift brings in: "constant" zeros of the stored picture, black in uint8, or
            "replicate" for the border again.
        ema_decay: Decay per step of the moving average of the weights; 0 keeps no average.
        teacher_weight: Share of the loss that a teacher's scores make up; the labels make up the
            rest. Without a teacher it has no effect.
        temperature: What scores are divided by before the teacher's are compared with the
            network's.

    Raises:
        UsageError: A value is out of its range.
    """

    epochs: int = 400
    batch_size: int = 128
    learning_rate: float = 0.1
    bank_step_ratio: float = 0.0
    coefficient_step_ratio: float = 0.0
    schedule: str = "step"
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    decays_masks: bool = False
    mask_rate_ratio: float = 1.0
    label_smoothing: float = 0.0
    balance_weight: float = 1e-4
    warmup_epochs: int | None = 10
    warmup_scales: bool = False
    restarts_after_warmup: bool = False
    flips: bool = True
    max_shift_pixels: int = 4
    padding: str = "constant"
    ema_decay: float = 0.0
    teacher_weight: float = 0.9
    temperature: float = 4.0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("max_shift_pixels", 0)):
            self._hold(name, getattr(self, name) >= least, f"{least} or more")
        self._hold("warmup_epochs", (self.warmup_epochs or 0) >= 0, "0 or more, or null")
        steps = ("bank_step_ratio", "coefficient_step_ratio")
        for name in ("momentum", "label_smoothing", "ema_decay", *steps):
            self._hold(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        for name in ("weight_decay", "balance_weight"):
            self._hold(name, 0 <= getattr(self, name) < float("inf"), "0 or more")
        self._hold("teacher_weight", 0 <= self.teacher_weight <= 1, "0 to 1")
        for name in ("learning_rate", "mask_rate_ratio", "temperature"):
            self._hold(name, 0 < getattr(self, name) < float("inf"), "above 0")
        self._hold("schedule", self.schedule in SCHEDULES, ", ".join(SCHEDULES))
        self._hold("padding", self.padding in PADDINGS, ", ".join(PADDINGS))
        self._hold("nesterov", not self.nesterov or self.momentum > 0, "false without momentum")

    def _hold(self, name: str, holds: bool, legal: str) -> None:  # noqa: FBT001 - the statement
        if not holds:
            raise UsageError(f"recipe: {name}", received=getattr(self, name), legal=legal)

    def learns_masks(self, epoch: int) -> bool:
        """Return whether the masks are still learned in an epoch, counted from 1."""
        return self.warmup_epochs is None or epoch <= self.warmup_epochs


PRESETS: Mapping[str, Recipe] = MappingProxyType(
    {
        "paper": Recipe(),
        "published": Recipe(schedule="cosine", decays_masks=True, restarts_after_warmup=True),
        # Half the paper's rate: VGG16's first gradients are large, and a short climb must be safe.
        # Masks move slowly: a short training has no time to relearn what a flip throws away.
        "short": Recipe(
            epochs=20,
            mask_rate_ratio=0.1,
            learning_rate=0.05,
            schedule="one_cycle",
            nesterov=True,
            label_smoothing=0.1,
            warmup_epochs=4,
            warmup_scales=True,
            ema_decay=0.998,
        ),
        # For a start that works already: short steps, and the masks as they were fitted. Pictures
        # that are shifted far are not learned by heart, for which four epochs are too few anyway.
        "finetune": Recipe(
            epochs=4,
            learning_rate=0.05,
            bank_step_ratio=0.01,
            coefficient_step_ratio=0.006,
            schedule="one_cycle",
            nesterov=True,
            balance_weight=0.0,
            warmup_epochs=0,
            max_shift_pixels=1,
            ema_decay=0.998,
        ),
        # scikit-learn's 8x8 digits: a mirrored digit is not a digit, and one pixel is a lot.
        "digits": Recipe(
            epochs=12,
            batch_size=64,
            schedule="one_cycle",
            label_smoothing=0.05,
            warmup_epochs=4,
            warmup_scales=True,
            flips=False,
            max_shift_pixels=1,
            padding="replicate",
        ),
    }
)


def choose(
    preset: str, *, epochs: int | None = None, changes: Mapping[str, object] | None = None
) -> Recipe:
    """Return a preset, with another number of epochs and other changes if given.

    Args:
        preset: One of ``PRESETS``.
        epochs: Number of epochs, in place of the preset's.
        changes: Values by name of the attribute; they override what ``epochs`` scales.

    Raises:
        UsageError: An unknown preset or attribute, or a value of another type or range.
    """
    if preset not in PRESETS:
        raise UsageError.unknown("preset", preset, PRESETS)
    recipe, changes = PRESETS[preset], dict(changes or {})
    unknown = sorted(changes.keys() - {field.name for field in fields(Recipe)})
    if unknown:
        legal = (field.name for field in fields(Recipe))
        raise UsageError.unknown("value of a recipe", unknown[0], legal)
    values = {name: _typed(name, value) for name, value in changes.items()}
    asked = values.pop("epochs", epochs)
    if isinstance(asked, int):
        recipe = _with_epochs(recipe, asked)
    return replace(recipe, **values)  # type: ignore[arg-type]


def _with_epochs(recipe: Recipe, epochs: int) -> Recipe:
    warmup = recipe.warmup_epochs
    if warmup and recipe.warmup_scales:
        warmup = max(1, round(warmup * epochs / recipe.epochs))
    return replace(recipe, epochs=epochs, warmup_epochs=warmup)


def _typed(name: str, value: object) -> object:
    default = getattr(PRESETS["paper"], name)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default) and not (name == "warmup_epochs" and value is None):
        legal = f"a {type(default).__name__} such as {default!r}"
        raise UsageError(f"recipe: {name}", received=repr(value), legal=legal)
    return value
