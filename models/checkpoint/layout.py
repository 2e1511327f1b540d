"""Where the weights are in what a checkpoint saved: nested, prefixed, or in a whole model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from legoexport.errors import CheckpointError
from legoexport.lego.normalization import Normalization
from legoexport.models.checkpoint.allowed_globals import StandIn
from legoexport.models.checkpoint.inert import Inert
from legoexport.models.checkpoint.tensors import StoredTensor
from legoexport.models.checkpoint.training_facts import recorded_class_names, recorded_normalization
from legoexport.models.checkpoint.whole_model import state_of, walk
from legoexport.models.checkpoint.wrapped import MODEL_KEYS, unwrapped, without_prefixes

FORMAT = "legoexport"
VERSION = 1
_LISTED_COUNT = 5
_MOST_ITEMS = 100
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
        prefix: What was taken off the names of all tensors.
        note: Which weights were taken, where the file has several.
        normalization: Of the pictures in training, where the file records it.
        class_names: In the order of the labels, where the file has them.
    """

    form: str
    tensors: Mapping[str, StoredTensor]
    modules: Mapping[str, StandIn] = field(default_factory=dict)
    arch: str | None = None
    hyperparameters: Mapping[str, object] = field(default_factory=dict)
    normalization: Normalization | None = None
    prefix: str = ""
    note: str = ""
    class_names: tuple[str, ...] = ()


def find_layout(value: object, weights: str | None = None) -> Layout:
    """Find the weights in the value that a checkpoint saved.

    Args:
        value: What it holds.
        weights: "model" or "ema"; None takes the model's where the file has both.

    Returns:
        The weights, and what is known about them.

    Raises:
        CheckpointError: There are no weights in it, or another version of legoexport wrote it.
    """
    if isinstance(value, dict) and value.get("format") == FORMAT:
        return _own(value)
    found = unwrapped(value, weights)
    value = found.value
    if isinstance(value, StandIn):
        modules = walk(value)
        tensors = _named_tensors(state_of(modules))
        return Layout("published pickled model", tensors, modules, note=found.note)
    if isinstance(value, Inert) and not _has_tensors(value):
        raise CheckpointError(
            "a whole object, of a class that is not the published network's",
            received=value.name,
            legal="a state_dict, or a whole published lego_vgg16",
            next_step="where the model was trained, save its weights alone: "
            "torch.save(model.state_dict(), 'weights.pt')",
        )
    if not isinstance(value, dict) or not _has_tensors(value):
        raise CheckpointError(
            "the file holds no weights",
            received=_summary(value),
            legal=f"a state_dict, by itself or under one of {', '.join(MODEL_KEYS)}",
            next_step="save model.state_dict() with torch.save",
        )
    empty = [str(name) for name, item in value.items() if _is_empty(item)]
    filled = {name: item for name, item in value.items() if not _is_empty(item)}
    prefix, tensors = without_prefixes(_named_tensors(filled))
    notes = (found.note, f"empty entries left out: {_listed(empty)}" if empty else "")
    return Layout("state_dict", tensors, prefix=prefix, note="; ".join(filter(None, notes)))


def _has_tensors(value: dict[object, object]) -> bool:
    return any(isinstance(item, StoredTensor) for item in value.values())


def _is_empty(item: object) -> bool:
    """Such as ``_extra_state`` of a module that has none."""
    return item is None or (type(item) in (dict, list, tuple) and not item)


def _summary(value: object) -> str:
    if not isinstance(value, dict):
        return f"a {type(value).__name__}"
    return f"a dictionary with keys {_listed(list(map(str, value)))}"


def _listed(names: Sequence[str]) -> str:
    shown = [name[:_SHOWN_LENGTH] for name in names[:_LISTED_COUNT]]
    return ", ".join([*shown, "..."] if len(names) > len(shown) else shown)


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
    training = value.get("training")
    normalization, names = recorded_normalization(training), recorded_class_names(training)
    return Layout(FORMAT, tensors, {}, arch, plain, normalization, class_names=names)


def _plain(name: object, value: object) -> object:
    items = value if isinstance(value, (list, tuple)) else (value,)
    if len(items) > _MOST_ITEMS or not all(
        isinstance(item, (str, int, float, type(None))) for item in items
    ):
        raise CheckpointError(
            f"hyperparameter {name!r} is not a plain value",
            received=type(value).__name__,
            legal=f"text, numbers, and lists of at most {_MOST_ITEMS} of them",
        )
    return tuple(items) if isinstance(value, list) else value
