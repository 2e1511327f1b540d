"""What training wraps around weights: keys, prefixes of names, averages, parallel modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from legoexport.errors import CheckpointError
from legoexport.models.checkpoint.allowed_globals import PARALLEL_CLASSES, StandIn
from legoexport.models.checkpoint.inert import Inert
from legoexport.models.checkpoint.tensors import StoredTensor

MODEL_KEYS = ("state_dict", "model", "net", "model_state_dict")
AVERAGE_KEYS = ("ema", "state_dict_ema", "model_ema", "ema_state_dict", "model_ema_state_dict")
_INNER_KEYS = (*MODEL_KEYS, "module", "shadow")
MODEL, AVERAGE = "model", "ema"
WEIGHTS = (MODEL, AVERAGE)
_PARALLEL_CHILD = "module"
# DataParallel; Lightning and its kind.
_PREFIXES = ("module.", "model.", "net.")
_COMPILED = "_orig_mod."
_MOST_PREFIXES = 4
_AVERAGES_COUNT = "n_averaged"


@dataclass(frozen=True)
class Unwrapped:
    """The innermost value that holds the weights.

    Attributes:
        value: It.
        note: Which of several weights it is; empty where there is no choice.
    """

    value: object
    note: str = ""


def unwrapped(value: object, weights: str | None) -> Unwrapped:
    """Find what holds the weights inside of what a training saved.

    Args:
        value: What the file holds.
        weights: "model" or "ema"; None takes the model's where the file has both.

    Raises:
        CheckpointError: Averaged weights are asked for, and there are none.
    """
    found = {MODEL: _first(value, MODEL_KEYS), AVERAGE: _first(value, AVERAGE_KEYS)}
    if weights == AVERAGE and found[AVERAGE] is None:
        raise CheckpointError(
            "the file holds no averaged weights",
            legal=f"weights under one of {', '.join(AVERAGE_KEYS)}",
            next_step="leave out --weights ema",
        )
    taken = weights or (MODEL if found[MODEL] else AVERAGE)
    key, inner = found[taken] or (None, value)
    for _depth in _INNER_KEYS:  # no file needs more levels, and one may contain itself
        if (deeper := _first(inner, _INNER_KEYS)) is None:
            break
        inner = deeper[1]
    if isinstance(inner, StandIn) and inner.name in PARALLEL_CLASSES:
        children = inner.state.get("_modules")
        inner = children.get(_PARALLEL_CHILD) if isinstance(children, dict) else None
    return Unwrapped(inner, _note(key, found[AVERAGE if taken == MODEL else MODEL], taken))


def _note(key: str | None, other: tuple[str, object] | None, taken: str) -> str:
    if key and taken == AVERAGE:
        return f"averaged weights taken, those under {key!r}"
    if key and other:
        return f"weights under {key!r} taken; --weights ema takes those under {other[0]!r}"
    return ""


def _first(value: object, keys: tuple[str, ...]) -> tuple[str, object] | None:
    if not isinstance(value, dict):
        return None
    return next(((key, value[key]) for key in keys if _may_hold_weights(value.get(key))), None)


def _may_hold_weights(value: object) -> bool:
    """Not what a training left empty, such as an average that it did not take."""
    return isinstance(value, (StandIn, Inert)) or (isinstance(value, dict) and len(value) > 0)


def without_prefixes(tensors: Mapping[str, StoredTensor]) -> tuple[str, dict[str, StoredTensor]]:
    """Take off what wrappers put before all names, and ``_orig_mod.`` wherever it is.

    Returns:
        The prefix taken off, and the tensors by their shorter names.

    Raises:
        CheckpointError: Two tensors have the same name then.
    """
    names = {name: name.replace(_COMPILED, "") for name in tensors}
    if all(name.startswith("module.") for name in names.values() if name != _AVERAGES_COUNT):
        names.pop(_AVERAGES_COUNT, None)  # torch's AveragedModel keeps it beside the network
    prefix = ""
    while (
        names
        and prefix.count(".") < _MOST_PREFIXES
        and (
            found := next(
                (
                    each
                    for each in _PREFIXES
                    if all(name.startswith(each, len(prefix)) for name in names.values())
                ),
                None,
            )
        )
    ):
        prefix += found
    shorter = {short[len(prefix) :]: tensors[name] for name, short in names.items()}
    if len(shorter) != len(names):
        raise CheckpointError("two tensors of the state_dict have one name without _orig_mod.")
    return prefix, shorter


def with_names_of(
    wanted: Mapping[str, object], prefix: str, tensors: Mapping[str, StoredTensor]
) -> Mapping[str, StoredTensor]:
    """Put back as much of a prefix as the network's own names have.

    Args:
        wanted: The network's state_dict.
        prefix: What `without_prefixes` took off.
        tensors: What it returned.
    """
    parts = prefix.split(".")
    for count in range(1, len(parts) + 1):
        kept = ".".join(parts[-count:])
        if any(kept + name in wanted for name in tensors):
            return {kept + name: tensor for name, tensor in tensors.items()} if kept else tensors
    return tensors
