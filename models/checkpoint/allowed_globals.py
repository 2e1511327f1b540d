"""What the names in a checkpoint's pickle mean here: data only, never the code they name.

A pickle refers to classes and functions by name. The names below are the whole vocabulary; each
stands for one of our own small functions or for a `StandIn`, which holds state and does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from legoexport.models.checkpoint.damage import ForeignGlobalError, MalformedFileError
from legoexport.models.checkpoint.inert import is_value, may_be_class
from legoexport.models.checkpoint.tensors import STORAGE_DTYPES, StoredTensor, stored_tensor

PARALLEL_CLASSES = frozenset(
    {
        "torch.nn.parallel.data_parallel.DataParallel",
        "torch.nn.parallel.distributed.DistributedDataParallel",
    }
)
# What the published network is made of, and nothing else.
MODULE_CLASSES = frozenset(
    {
        "vgg.lego_vgg16",
        *PARALLEL_CLASSES,
        "module.LegoConv2d",
        "torch.nn.modules.container.Sequential",
        "torch.nn.modules.conv.Conv2d",
        "torch.nn.modules.batchnorm.BatchNorm2d",
        "torch.nn.modules.activation.ReLU",
        "torch.nn.modules.pooling.MaxPool2d",
        "torch.nn.modules.pooling.AvgPool2d",
        "torch.nn.modules.linear.Linear",
    }
)
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_MOST_KEY_ITEMS = 8
_MOST_NAME_LENGTH = 1000
_PLAIN_KEYS = frozenset({str, int, float, bool, type(None)})


@dataclass(frozen=True)
class Global:
    """A name from the vocabulary, as the pickle refers to it."""

    name: str


@dataclass(eq=False)
class StandIn:
    """A pickled module without its class: the name it had, and its state.

    Attributes:
        name: Dotted name of the class, one of `MODULE_CLASSES`.
        state: What the module's ``__dict__`` held.
    """

    name: str
    state: dict[object, object] = field(default_factory=dict)


def find_global(module: object, name: object) -> Global:
    """Look a name up in the vocabulary.

    Args:
        module: Module part of the name.
        name: Name inside the module.

    Returns:
        The name as a value.

    Raises:
        ForeignGlobalError: The name is not in the vocabulary.
    """
    if not isinstance(module, str) or not isinstance(name, str):
        raise MalformedFileError("a global whose name is not text")
    if len(module) + len(name) > _MOST_NAME_LENGTH:
        raise MalformedFileError("a global whose name is too long")
    # Protocol 2 writes the name that Python 2 had for it.
    full_name = f"{_RENAMED.get(module, module)}.{name}"
    if full_name in MODULE_CLASSES or full_name in STORAGE_DTYPES or full_name in CONSTRUCTORS:
        return Global(full_name)
    if is_value(full_name) or may_be_class(full_name):
        return Global(full_name)
    raise ForeignGlobalError(full_name)


def store(target: dict[object, object], pairs: list[object] | tuple[object, ...]) -> None:
    """Put alternating keys and values into a dictionary.

    Raises:
        MalformedFileError: An odd count, or a key that is not plain: hashing a nested tuple from a
            hostile file can take for ever.
    """
    if len(pairs) % 2:
        raise MalformedFileError("a dictionary key without a value")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        target[plain_key(key)] = value


def plain_key(key: object) -> object:
    """Return what may be a key, or a member of a set.

    Raises:
        MalformedFileError: Hashing it might take for ever.
    """
    # Pairs such as (epoch, step); hashing a tuple costs its length each time, and it may nest.
    items = key if type(key) is tuple and len(key) <= _MOST_KEY_ITEMS else (key,)
    if any(type(item) not in _PLAIN_KEYS for item in items):
        raise MalformedFileError(f"a dictionary key of type {type(key).__name__}")
    return key


def plain_set(items: list[object]) -> set[object]:
    """Return a set of what may be a key."""
    return {plain_key(item) for item in items}


# A file may pass one list to many calls. Each of these gives back what it was given, or empties it,
# so that the work stays in proportion to the length of the file.
def _mapping(pairs: object = None) -> dict[object, object]:
    if type(pairs) is dict:
        return pairs
    result: dict[object, object] = {}
    for pair in _emptied(pairs):
        if type(pair) is not list and type(pair) is not tuple:
            raise MalformedFileError("a dictionary entry that is not a pair")
        store(result, pair[:3])  # an odd count, so refused, if it is longer than a pair
    return result


def _set(items: object = None) -> set[object]:
    return plain_set(_emptied(items))


def _emptied(items: object) -> list[object]:
    if items is None:
        return []
    if type(items) is not list:
        raise MalformedFileError(f"a collection made from {type(items).__name__}")
    taken = items.copy()
    items.clear()
    return taken


def _tensor(
    storage: object, offset: object, shape: object, stride: object, *_flags: object
) -> StoredTensor:
    return stored_tensor(storage, offset, shape, stride)


def _parameter(data: object, *_flags: object) -> StoredTensor:
    if not isinstance(data, StoredTensor):
        raise MalformedFileError(f"a parameter made from {type(data).__name__}")
    return data


def _size(items: object) -> tuple[object, ...]:
    if type(items) is not tuple:
        raise MalformedFileError(f"a size made from {type(items).__name__}")
    return items


@dataclass(frozen=True)
class Constructor:
    """One of our functions, in place of the one that the pickle names.

    Attributes:
        make: The function.
        least_arguments: How many it takes at least.
        most_arguments: How many it takes at most.
    """

    make: Callable[..., object]
    least_arguments: int
    most_arguments: int

    def call(self, arguments: tuple[object, ...]) -> object:
        """Call it with what the file gives.

        Raises:
            MalformedFileError: Too few arguments or too many, or of another kind.
        """
        if not self.least_arguments <= len(arguments) <= self.most_arguments:
            raise MalformedFileError(f"a call with {len(arguments)} arguments")
        return self.make(*arguments)


CONSTRUCTORS = {
    "collections.OrderedDict": Constructor(_mapping, 0, 1),
    "collections.Counter": Constructor(_mapping, 0, 1),
    "builtins.set": Constructor(_set, 0, 1),
    "torch.Size": Constructor(_size, 1, 1),
    "torch._utils._rebuild_tensor": Constructor(_tensor, 4, 4),
    "torch._utils._rebuild_tensor_v2": Constructor(_tensor, 4, 7),
    "torch._utils._rebuild_parameter": Constructor(_parameter, 1, 3),
    "torch._utils._rebuild_parameter_with_state": Constructor(_parameter, 1, 4),
}
