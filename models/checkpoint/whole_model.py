"""A whole pickled model, held as stand-ins: its modules, its weights and its settings."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from legoexport.errors import CheckpointError
from legoexport.models.checkpoint.allowed_globals import StandIn
from legoexport.models.checkpoint.damage import MalformedFileError

_PUBLISHED_CLASS = "vgg.lego_vgg16"
_MOST_MODULES = 10_000
_MAX_NAME_LENGTH = 1000
_SHOWN_LENGTH = 40
# What else than weights decides the result of the torch layers in the published network.
_SETTINGS = ("class", "eps", "kernel_size", "stride", "padding", "dilation", "groups", "ceil_mode")


def walk(model: StandIn) -> dict[str, StandIn]:
    """List the modules of a pickled model.

    Args:
        model: The model.

    Returns:
        The model and all modules below it, by dotted name.

    Raises:
        CheckpointError: The model is not the published one.
        MalformedFileError: The modules do not form a tree.
    """
    if model.name != _PUBLISHED_CLASS:
        raise CheckpointError(
            "a whole model of a class that is not the published network's",
            received=model.name,
            legal=_PUBLISHED_CLASS,
            next_step="save model.state_dict(), and name the network with --arch or --model",
        )
    found: dict[str, StandIn] = {}
    seen: set[int] = set()
    waiting = [("", model)]
    while waiting:
        prefix, module = waiting.pop()
        if id(module) in seen:
            raise MalformedFileError("a module that is in two places of the model")
        if len(seen) == _MOST_MODULES:
            raise MalformedFileError(f"more than {_MOST_MODULES} modules")
        seen.add(id(module))
        found[prefix] = module
        for name, child in _entries(module, "_modules").items():
            if not isinstance(child, StandIn):
                raise MalformedFileError(f"submodule {name!r} is a {type(child).__name__}")
            waiting.append((_joined(prefix, name), child))
    return found


def state_of(modules: Mapping[str, StandIn]) -> dict[object, object]:
    """Collect the parameters and buffers of modules, as ``state_dict`` would.

    Args:
        modules: Modules by dotted name.

    Returns:
        Weights by dotted name.
    """
    tables = [
        (prefix, _entries(module, table))
        for prefix, module in modules.items()
        for table in ("_parameters", "_buffers")
    ]
    if len({id(entries) for _, entries in tables}) != len(tables):
        raise MalformedFileError("two modules with one and the same table of weights")
    return {
        _joined(prefix, name): tensor
        for prefix, entries in tables
        for name, tensor in entries.items()
        if tensor is not None
    }


def _joined(prefix: str, name: object) -> str:
    if not isinstance(name, str) or len(prefix) + len(name) > _MAX_NAME_LENGTH:
        raise MalformedFileError("a module or weight whose name is no text, or too long")
    return f"{prefix}.{name}".lstrip(".")


def check_settings(modules: Mapping[str, StandIn], network: nn.Module) -> None:
    """Hold the settings of a pickled model's layers against those of the network built for it.

    Args:
        modules: Modules of the file, by dotted name.
        network: The network that shall take their weights.

    Raises:
        CheckpointError: A layer is missing, of another class, or works in another way.
    """
    for name, layer in network.named_modules():
        module = modules.get(name)
        if module is None:
            raise CheckpointError(f"the file lacks the layer {name}", legal=type(layer).__name__)
        if not module.name.startswith("torch."):
            continue  # the published classes have shapes only, and those are checked with weights
        theirs = {"class": module.name.rpartition(".")[2]} | module.state
        ours = _settings(layer)
        for setting in _SETTINGS:
            if setting in ours and _pair(theirs.get(setting)) != _pair(ours[setting]):
                raise CheckpointError(
                    f"{name} is not the layer that the published network has there",
                    received=f"{setting} {_shown(theirs.get(setting))}",
                    legal=f"{setting} {ours[setting]}",
                    next_step="save model.state_dict(), and name the network with --model",
                )


def _settings(layer: nn.Module) -> dict[str, object]:
    if isinstance(layer, nn.AdaptiveAvgPool2d):
        layer = nn.AvgPool2d(1, 1)  # as published; ours differs only where theirs cannot work
    return {"class": type(layer).__name__} | vars(layer)


def _pair(value: object) -> object:
    # Torch keeps some settings as one number or as a pair of it, depending on its version.
    return value if isinstance(value, (tuple, str)) else (value, value)


def _shown(value: object) -> str:
    items = value if isinstance(value, tuple) else (value,)
    plain = all(isinstance(item, (str, int, float)) for item in items)
    return str(value)[:_SHOWN_LENGTH] if plain else f"of type {type(value).__name__}"


def _entries(module: StandIn, table: str) -> dict[object, object]:
    entries = module.state.get(table)
    if not isinstance(entries, dict):
        raise MalformedFileError(f"a {module.name} without its {table}")
    return entries
