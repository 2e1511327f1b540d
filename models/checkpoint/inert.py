"""Objects beside the weights, such as arguments and paths: known by name, and left empty.

Nothing is made of them and nothing is called. A name is refused where a real unpickler would run
code for it: a function of the standard library, of torch or of numpy that is not listed here, and
any call with arguments to a class that is not.
"""

from __future__ import annotations

import _compat_pickle
import sys

_ELEMENT_TYPES = (
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128", "bool"),
    *("uint8", "int8", "int16", "int32", "int64"),
)
# Values: making one of them has no effect on anything else.
_VALUES = frozenset(
    {
        "_codecs.encode",  # how Python 3 writes bytes for Python 2
        "argparse.Namespace",
        "collections.defaultdict",
        "collections.deque",
        "copyreg._reconstructor",
        "decimal.Decimal",
        "fractions.Fraction",
        "torch.device",
        "types.SimpleNamespace",
        "uuid.UUID",
        *(f"builtins.{name}" for name in ("complex", "frozenset", "range", "slice")),
        *(f"builtins.{name}" for name in ("bool", "dict", "float", "int", "list", "object")),
        *(f"builtins.{name}" for name in ("str", "tuple")),
        *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
        *(f"numpy.{name}" for name in ("dtype", "ndarray", *_ELEMENT_TYPES)),
        *(
            f"numpy.{core}.multiarray.{name}"
            for core in ("core", "_core")
            for name in ("_reconstruct", "scalar")
        ),
        *(
            f"{module}.{flavour}{kind}Path"
            for module in ("pathlib", "pathlib._local")
            for flavour in ("", "Pure")
            for kind in ("", "Posix", "Windows")
        ),
        *(f"torch.{name}" for name in _ELEMENT_TYPES),
    }
)
# Python 2 had other names, which protocol 2 still writes.
_LIBRARIES = (
    sys.stdlib_module_names
    | {module.partition(".")[0] for module in _compat_pickle.IMPORT_MAPPING}
    | {"numpy", "torch", "torchvision", "torchaudio"}
)


class Inert(dict[object, object]):
    """An object that was not made; a dictionary, since some that hold weights are.

    Attributes:
        name: Dotted name of its class.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def is_value(name: str) -> bool:
    """Whether making the value runs nothing, whatever its arguments."""
    return name in _VALUES


def may_be_class(name: str) -> bool:
    """Whether the name may be that of a class of the user's, or of a library's for training."""
    return name.partition(".")[0] not in _LIBRARIES
