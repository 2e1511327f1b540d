"""Pickled dictionaries of numpy arrays, as CIFAR-10 is published: read, and never unpickled.

The instructions are followed by the reader of checkpoints, which runs nothing. Its vocabulary here
is three names of numpy's, which build an array of bytes, and the one by which Python 3 writes bytes
for Python 2. Byte strings are kept as Latin-1 text, which has a character for each byte.
"""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legoexport.models.checkpoint.damage import ForeignGlobalError, MalformedFileError
from legoexport.models.checkpoint.pickle_machine import PickleMachine
from legoexport.models.checkpoint.pickle_stream import INSTRUCTIONS, Instruction, follow
from legoexport.models.checkpoint.tensors import Storage

RECONSTRUCT = frozenset(
    {"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"}
)
ARRAY, DTYPE, ENCODE = "numpy.ndarray", "numpy.dtype", "_codecs.encode"
VOCABULARY = RECONSTRUCT | {ARRAY, DTYPE, ENCODE}
BYTE = "u1"


@dataclass(frozen=True)
class Name:
    """A name from the vocabulary."""

    name: str


@dataclass(frozen=True)
class ByteType:
    """The element type uint8, the only one that is read."""


@dataclass(eq=False)
class ByteArray:
    """An array that a pickle makes, empty until it is given its state.

    Attributes:
        values: uint8 of any shape.
    """

    values: NDArray[np.uint8] | None = None


def read_array_pickle(data: bytes) -> object:
    """Read one pickled value of plain containers, numbers, text and uint8 arrays.

    Raises:
        ForeignGlobalError: The pickle asks for a name outside the vocabulary.
        MalformedFileError: The pickle ends early, or holds anything else.
    """
    return follow(_ArrayMachine(data), _INSTRUCTIONS)


def _no_storage(key: str, storage_type: str, numel: object) -> Storage:
    del key, storage_type, numel
    raise MalformedFileError("a reference to something outside the file")


class _ArrayMachine(PickleMachine):
    def __init__(self, data: bytes) -> None:
        super().__init__(data, 0, _no_storage)
        # One string may be named many times, but all arrays together hold no more than the file.
        self._bytes_left = len(data)
        self.most_built_bytes += len(data)

    def find(self, module: object, name: object) -> None:
        full_name = f"{module}.{name}"
        if full_name not in VOCABULARY:
            raise ForeignGlobalError(full_name)
        self.push(Name(full_name))

    def reduce(self) -> None:
        match self.pop_many(2):
            case (Name(name), (Name("numpy.ndarray"), *_)) if name in RECONSTRUCT:
                self.push(ByteArray())
            case (Name("numpy.dtype"), ("u1", *_)):
                self.push(ByteType())
            case (Name("_codecs.encode"), (str(text), "latin1")):
                self.push(text)
            case _:
                raise MalformedFileError("a call that does not make an array of bytes")

    def build(self) -> None:
        state, target = self.pop(), self.top()
        match target, state:
            case ByteType(), tuple():
                pass  # of a byte: its order, which it has none of
            case ByteArray(), (_, tuple(shape), ByteType(), False, str(data)):
                self._bytes_left -= len(data)
                if self._bytes_left < 0:
                    raise MalformedFileError("arrays that are larger than the file")
                target.values = _filled(shape, data)
            case _:
                raise MalformedFileError("state for something that is not an array of bytes")


def _filled(shape: tuple[object, ...], data: str) -> NDArray[np.uint8]:
    sizes = [size for size in shape if type(size) is int and size >= 0]
    content = data.encode("latin-1")
    if len(sizes) != len(shape) or math.prod(sizes) != len(content):
        raise MalformedFileError(f"an array of shape {shape} from {len(content)} bytes")
    return np.frombuffer(content, np.uint8).reshape(sizes)


def _bytes(layout: str) -> Instruction:
    def push_bytes(machine: PickleMachine) -> None:
        machine.push(machine.take(machine.number(layout)).decode("latin-1"))

    return push_bytes


def _find(machine: PickleMachine) -> None:
    assert isinstance(machine, _ArrayMachine)  # noqa: S101 - the only one with these instructions
    machine.find(machine.line(), machine.line())


def _find_on_stack(machine: PickleMachine) -> None:
    assert isinstance(machine, _ArrayMachine)  # noqa: S101
    machine.find(*machine.pop_many(2))


_INSTRUCTIONS = INSTRUCTIONS | {
    pickle.BINSTRING: _bytes("<i"),
    pickle.SHORT_BINSTRING: _bytes("<B"),
    pickle.BINBYTES: _bytes("<I"),
    pickle.SHORT_BINBYTES: _bytes("<B"),
    pickle.GLOBAL: _find,
    pickle.STACK_GLOBAL: _find_on_stack,
    pickle.REDUCE: lambda machine: machine.reduce(),
    pickle.BUILD: lambda machine: machine.build(),
}
