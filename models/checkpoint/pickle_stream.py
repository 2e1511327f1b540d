"""A pickle reader that cannot run anything: it knows a few instructions and a few names.

Neither ``pickle`` nor ``torch.load`` fits. Both call real functions with arguments from the file
(``bytearray`` of any size, tensors that outgrow their storage), ``pickle`` fills a memo of any size
the file names, and torch's restricted reader refuses the class records that whole models in the
format from before torch 1.6 contain. Here a file can only ever build plain containers, numbers,
text, `StoredTensor` and `StandIn`, in time and memory bounded by its own length.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Mapping

from legoexport.models.checkpoint.allowed_globals import find_global, plain_set
from legoexport.models.checkpoint.damage import MalformedFileError
from legoexport.models.checkpoint.inert import Inert
from legoexport.models.checkpoint.pickle_machine import PickleMachine, StorageReader

Instruction = Callable[[PickleMachine], None]
# The training state of a large network takes a hundred thousand; one byte can ask for an object.
_MOST_STEPS = 1_200_000


def read_pickle(
    data: bytes, start: int, read_storage: StorageReader, end: int | None = None
) -> tuple[object, int]:
    """Follow a pickle's instructions up to its end.

    Args:
        data: The bytes that hold it.
        start: Where it begins in them.
        read_storage: Called for each reference to a storage.
        end: Behind the last byte that may be its; None if that is the end of the bytes.

    Returns:
        The value it describes, and the position of the byte after it.

    Raises:
        ForeignGlobalError: It asks for a name outside the vocabulary.
        MalformedFileError: It ends early, or holds what no checkpoint holds.
    """
    machine = PickleMachine(data, start, read_storage, end)
    return follow(machine, INSTRUCTIONS), machine.position


def follow(machine: PickleMachine, instructions: Mapping[bytes, Instruction]) -> object:
    """Let a machine follow its pickle up to its end.

    Args:
        machine: At the beginning of the pickle.
        instructions: All that it knows, by opcode.

    Returns:
        The value it describes.

    Raises:
        ForeignGlobalError: It asks for a name outside the vocabulary.
        MalformedFileError: It ends early, or has an instruction that is not known.
    """
    for _step in range(_MOST_STEPS):
        if (opcode := machine.take(1)) == pickle.STOP:
            return machine.pop()
        if opcode not in instructions:
            raise MalformedFileError(f"pickle instruction {opcode!r}, which has no place here")
        instructions[opcode](machine)
    raise MalformedFileError(f"a pickle of more than {_MOST_STEPS} instructions")


def _skip(count: int) -> Instruction:
    return lambda machine: machine.skip(count)


def _float(machine: PickleMachine) -> None:
    machine.push(struct.unpack(">d", machine.take(8))[0])


def _integer(layout: str) -> Instruction:
    return lambda machine: machine.push(machine.number(layout))


def _long(machine: PickleMachine) -> None:
    machine.push(int.from_bytes(machine.take(machine.number("<B")), "little", signed=True))


def _enormous(machine: PickleMachine) -> None:
    # More digits than Python likes to write down, and no number that weights depend on.
    machine.skip(machine.number("<i"))
    machine.push(Inert("builtins.int"))


def _text(layout: str) -> Instruction:
    def push_text(machine: PickleMachine) -> None:
        machine.push(machine.text(machine.number(layout)))

    return push_text


def _bytes(layout: str) -> Instruction:
    # Such as the numbers of a numpy array: never weights, and as long as the file.
    def push_nothing(machine: PickleMachine) -> None:
        machine.skip(machine.number(layout))
        machine.push(Inert("builtins.bytes"))

    return push_nothing


def _tuple(count: int) -> Instruction:
    return lambda machine: machine.push(machine.pop_many(count))


def _global(machine: PickleMachine) -> None:
    module, name = machine.line(), machine.line()
    machine.push(find_global(module, name))


# In the order of the protocols that brought them: 1 and 2 are what torch.save writes, 4 what a
# pickle_protocol argument may ask for.
INSTRUCTIONS: dict[bytes, Instruction] = {
    pickle.PROTO: _skip(1),
    pickle.NONE: lambda machine: machine.push(None),
    pickle.NEWTRUE: lambda machine: machine.push(value=True),
    pickle.NEWFALSE: lambda machine: machine.push(value=False),
    pickle.BININT: _integer("<i"),
    pickle.BININT1: _integer("<B"),
    pickle.BININT2: _integer("<H"),
    pickle.LONG1: _long,
    pickle.LONG4: _enormous,
    pickle.BINFLOAT: _float,
    pickle.BINSTRING: _text("<i"),
    pickle.SHORT_BINSTRING: _text("<B"),
    pickle.BINUNICODE: _text("<I"),
    pickle.EMPTY_TUPLE: lambda machine: machine.push(()),
    pickle.EMPTY_LIST: lambda machine: machine.push([]),
    pickle.EMPTY_DICT: lambda machine: machine.push({}),
    pickle.MARK: PickleMachine.mark,
    pickle.TUPLE: lambda machine: machine.push(tuple(machine.pop_mark())),
    pickle.TUPLE1: _tuple(1),
    pickle.TUPLE2: _tuple(2),
    pickle.TUPLE3: _tuple(3),
    pickle.APPEND: lambda machine: machine.extend(machine.pop_many(1)),
    pickle.APPENDS: lambda machine: machine.extend(machine.pop_mark()),
    pickle.SETITEM: lambda machine: machine.set_items(machine.pop_many(2)),
    pickle.SETITEMS: lambda machine: machine.set_items(machine.pop_mark()),
    pickle.BINPUT: lambda machine: machine.memoize(machine.number("<B")),
    pickle.LONG_BINPUT: lambda machine: machine.memoize(machine.number("<I")),
    pickle.BINGET: lambda machine: machine.recall(machine.number("<B")),
    pickle.LONG_BINGET: lambda machine: machine.recall(machine.number("<I")),
    pickle.GLOBAL: _global,
    pickle.NEWOBJ: PickleMachine.new_object,
    pickle.BUILD: PickleMachine.build,
    pickle.REDUCE: PickleMachine.reduce,
    pickle.BINPERSID: PickleMachine.persistent,
    pickle.BINBYTES: _bytes("<I"),
    pickle.SHORT_BINBYTES: _bytes("<B"),
    pickle.FRAME: _skip(8),
    pickle.MEMOIZE: PickleMachine.memoize,
    pickle.EMPTY_SET: lambda machine: machine.push(set()),
    pickle.FROZENSET: lambda machine: machine.push(plain_set(machine.pop_mark())),
    pickle.ADDITEMS: lambda machine: machine.add_items(machine.pop_mark()),
    pickle.SHORT_BINUNICODE: _text("<B"),
    pickle.BINUNICODE8: _text("<Q"),
    pickle.STACK_GLOBAL: lambda machine: machine.push(find_global(*machine.pop_many(2))),
}
