"""What legoexport's checkpoints record about their training, as far as it is used again."""

from __future__ import annotations

from legoexport.errors import UsageError
from legoexport.lego.file_facts import is_class_name
from legoexport.lego.normalization import GREY_LEVELS, Normalization

LARGEST = 1e6
LONGEST_NAME = 200


def recorded_normalization(training: object) -> Normalization | None:
    """Return how the pictures were normalised, which ``train`` records in grey levels.

    None where nobody recorded it. Mean 0 and deviation 1 stand for pictures that came normalised
    already, and then nobody knows by what.

    Args:
        training: What the file holds under that name; anything.
    """
    facts = training if isinstance(training, dict) else {}
    mean, std = _levels(facts.get("mean")), _levels(facts.get("std"))
    if set(mean) == {0.0} and set(std) == {1.0}:
        return None
    try:
        return Normalization(*(tuple(x / GREY_LEVELS for x in each) for each in (mean, std)))
    except UsageError:  # kept for other programs, in a form of theirs
        return None


def recorded_class_names(training: object) -> tuple[str, ...]:
    """Return the names of the classes in the order of the labels; none unless all are usable.

    Args:
        training: What the file holds under that name; anything.
    """
    facts = training if isinstance(training, dict) else {}
    names = facts.get("class_names")
    if not isinstance(names, (list, tuple)):
        return ()
    fits = all(is_class_name(name) and len(name) <= LONGEST_NAME for name in names)
    return tuple(map(str, names)) if fits else ()


def normalization_facts(normalization: Normalization | None) -> dict[str, list[float]]:
    """Return what ``write_checkpoint(training=...)`` is to hold for ``recorded_normalization``."""
    if normalization is None:
        return {}
    mean, std = normalization.mean, normalization.std
    return {"mean": [GREY_LEVELS * x for x in mean], "std": [GREY_LEVELS * x for x in std]}


def _levels(values: object) -> list[float]:
    numbers = values if isinstance(values, (list, tuple)) else []
    fits = all(type(x) in (int, float) and abs(x) < LARGEST for x in numbers)
    return [float(x) for x in numbers] if fits else []
