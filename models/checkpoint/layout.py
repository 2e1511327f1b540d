"""Where the weights are in what a checkpoint saved: nested, prefixed, or in a whole model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from legoexport.errors import CheckpointError
from legoexport.lego.normalization import Normalization
from legoexport.models.checkpoint.allowed_globals import StandIn
from legoexport.models.checkpoint.tensors import StoredTensor
from legoexport.models.checkpoint.training_facts import recorded_normalization
from legoexport.models.checkpoint.whole_model import state_of, walk

FORMAT = "legoexport"
VERSION = 1
_NESTING_KEYS = ("state_dict", "model", "net", "model_state_dict")
_PARALLEL_PREFIX = "module."
_LISTED_COUNT = 5
_SHOWN_LENGTH = 80


@dataclass(frozen=True)
class Layout:
    """The weights in a checkpoint, and what it says about the network they belong to.

    Attributes:
        form: "legoexport", "published pickled model" or "state_dict".
        tensors: Weights by dotted name, as in a state_dict.
        modules: Stand-ins by dotted module name, where the file holds a whole model.
        arch: Architecture, where the file names it.
        hyperparameters: Arguments of the architecture, where the file gives them.
        normalization: Of the pictures in training, where the file records it.
    """

    form: str
    tensors: Mapping[str, StoredTensor]
    modules: Mapping[str, StandIn] = field(default_factory=dict)
    arch: str | None = None
    hyperparameters: Mapping[str, object] = field(default_factory=dict)
    normalization: Normalization | None = None


def find_layout(value: object) -> Layout:
    """Find the weights in the value that a checkpoint saved.

    Args:
        value: What it holds.

    Returns:
        The weights, and what is known about them.

    Raises:
        CheckpointError: There are no weights in it, or another version of legoexport wrote it.
    """
    if isinstance(value, dict) and value.get("format") == FORMAT:
        return _own(value)
    value = _unwrapped(value)
    if isinstance(value, StandIn):
        modules = walk(value)
        tensors = _named_tensors(state_of(modules))
        return Layout("published pickled model", tensors, modules)
    if not isinstance(value, dict) or not _has_tensors(value):
        raise CheckpointError(
            "the file holds no weights",
            received=_summary(value),
            legal=f"a state_dict, by itself or under one of {', '.join(_NESTING_KEYS)}",
            next_step="save model.state_dict() with torch.save",
        )
    return Layout("state_dict", _without_prefix(_named_tensors(value)))


def _unwrapped(value: object) -> object:
    for _depth in _NESTING_KEYS:  # no file needs more levels, and one may contain itself
        if not isinstance(value, dict):
            break
        inner = (value.get(key) for key in _NESTING_KEYS)
        value = next((item for item in inner if isinstance(item, (dict, StandIn))), value)
    return value


def _has_tensors(value: dict[object, object]) -> bool:
    return any(isinstance(item, StoredTensor) for item in value.values())


def _summary(value: object) -> str:
    if not isinstance(value, dict):
        return f"a {type(value).__name__}"
    return "a dictionary with keys " + ", ".join(
        str(key)[:_SHOWN_LENGTH] for key in list(value)[:_LISTED_COUNT]
    )


def _named_tensors(value: object) -> dict[str, StoredTensor]:
    if not isinstance(value, dict):
        raise CheckpointError(f"the state_dict is a {type(value).__name__}", legal="a dict")
    tensors = {}
    for name, tensor in value.items():
        if not isinstance(name, str) or not isinstance(tensor, StoredTensor):
            raise CheckpointError(
                f"entry {name!r} of the state_dict is not a tensor",
                received=type(tensor).__name__,
                next_step="save model.state_dict() by itself",
            )
        tensors[name] = tensor
    return tensors


def _without_prefix(tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    if not all(name.startswith(_PARALLEL_PREFIX) for name in tensors):
        return tensors
    return {name.removeprefix(_PARALLEL_PREFIX): tensor for name, tensor in tensors.items()}


def _own(value: dict[object, object]) -> Layout:
    if value.get("version") != VERSION:
        raise CheckpointError(
            "a legoexport checkpoint of another version",
            received=str(value.get("version"))[:20],
            legal=VERSION,
            next_step="use the legoexport that wrote it, or a newer one",
        )
    arch, hyperparameters = value.get("arch"), value.get("hyperparameters")
    if not isinstance(arch, str) or not isinstance(hyperparameters, dict):
        raise CheckpointError(
            "the file does not say which network it holds", legal="arch and hyperparameters"
        )
    plain = {str(name): _plain(name, item) for name, item in hyperparameters.items()}
    tensors = _named_tensors(value.get("state_dict"))
    normalization = recorded_normalization(value.get("training"))
    return Layout(FORMAT, tensors, {}, arch, plain, normalization)


def _plain(name: object, value: object) -> object:
    items = value if isinstance(value, (list, tuple)) else (value,)
    if not all(isinstance(item, (str, int, float, type(None))) for item in items):
        raise CheckpointError(
            f"hyperparameter {name!r} is not a plain value",
            received=type(value).__name__,
            legal="text, numbers, and lists of them",
        )
    return tuple(items) if isinstance(value, list) else value
