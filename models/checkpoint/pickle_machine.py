"""The stack on which a checkpoint's pickle builds its value: plain data, whatever the file says."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable

from legoexport.models.checkpoint.allowed_globals import (
    CONSTRUCTORS,
    MODULE_CLASSES,
    Global,
    StandIn,
    plain_set,
    store,
)
from legoexport.models.checkpoint.damage import ForeignGlobalError, MalformedFileError
from legoexport.models.checkpoint.inert import Inert, is_value, may_be_class
from legoexport.models.checkpoint.tensors import STORAGE_DTYPES, Storage, StoredTensor

_MOST_REFERENCE_ITEMS = 8
_MOST_KEY_LENGTH = 100
# Names of a hundred thousand tensors and the source of a network take a few millions. Text may take
# four times its bytes in memory.
_MOST_TEXT_BYTES = 2**23
# Of all that a pickle builds, beside the numbers. A tensor takes 2.4 kB with its name, so that
# 27,000 fit; one byte of a file can ask for 216.
_MOST_BUILT_BYTES = 2**26
_ENTRY_BYTES = 64  # of a dictionary, a set or the memo
_OBJECT_BYTES = {Storage: 400, StoredTensor: 400, StandIn: 200}  # beside what Python counts

StorageReader = Callable[[str, str, object], Storage]
"""Makes a storage from the key, the dotted storage type and the element count in the file."""


class PickleMachine:
    """What a pickle's instructions work on, and what each kind of them does.

    Every method raises `MalformedFileError` where the file asks for what no checkpoint needs.

    Args:
        data: The bytes that hold it.
        start: Where it begins in them.
        read_storage: Called for each reference to a storage.
        end: Behind the last byte that may be its; None if that is the end of the bytes.
    """

    def __init__(
        self, data: bytes, start: int, read_storage: StorageReader, end: int | None = None
    ) -> None:
        self.position = start
        self._data = data
        self._end = len(data) if end is None else end
        self._read_storage = read_storage
        self._stack: list[object] = []
        self._marks: list[int] = []
        self._memo: dict[int, object] = {}
        self._text_bytes = 0
        self._built_bytes = 0
        self.most_built_bytes = _MOST_BUILT_BYTES

    def skip(self, count: int) -> None:
        """Leave out the next bytes of the pickle."""
        self.position += count
        if count < 0 or self.position > self._end:
            raise MalformedFileError("the file ends early")

    def take(self, count: int) -> bytes:
        """The next bytes of the pickle."""
        self.skip(count)
        return self._data[self.position - count : self.position]

    def number(self, layout: str) -> int:
        """The next bytes as one integer of a struct layout."""
        value: int = struct.unpack(layout, self.take(struct.calcsize(layout)))[0]
        return value

    def line(self) -> str:
        """The text up to the next line feed."""
        end = self._data.find(b"\n", self.position, self._end)
        if end < 0:
            raise MalformedFileError("the file ends early")
        text = self.text(end - self.position)
        self.position += 1
        return text

    def text(self, size_bytes: int) -> str:
        """The next bytes as text."""
        self._text_bytes += size_bytes
        if self._text_bytes > _MOST_TEXT_BYTES:
            raise MalformedFileError(f"a pickle with more than {_MOST_TEXT_BYTES} bytes of text")
        try:
            return self.take(size_bytes).decode(errors="surrogatepass")
        except UnicodeDecodeError:
            raise MalformedFileError("bytes that are not text") from None

    def push(self, value: object) -> None:
        """Put a new value on the stack."""
        self._charge(sys.getsizeof(value) + _OBJECT_BYTES.get(type(value), 0))
        self._stack.append(value)

    def _charge(self, size_bytes: int) -> None:
        self._built_bytes += size_bytes
        if self._built_bytes > self.most_built_bytes:
            raise MalformedFileError(f"a pickle that takes more than {self.most_built_bytes} bytes")

    def pop(self) -> object:
        """Take the value on top of the stack."""
        if not self._stack:
            raise MalformedFileError("a pickle instruction with nothing to work on")
        return self._stack.pop()

    def top(self) -> object:
        """The value on top of the stack, left there."""
        self._stack.append(value := self.pop())
        return value

    def pop_many(self, count: int) -> tuple[object, ...]:
        """Take several values, in the order they were pushed."""
        return tuple(self.pop() for _ in range(count))[::-1]

    def mark(self) -> None:
        """Remember how high the stack is."""
        self._marks.append(len(self._stack))

    def pop_mark(self) -> list[object]:
        """Take all values pushed since the last mark."""
        if not self._marks:
            raise MalformedFileError("a pickle instruction without its mark")
        start = self._marks.pop()
        items, self._stack[start:] = self._stack[start:], []
        return items

    def memoize(self, index: int | None = None) -> None:
        """Remember the value on top of the stack, under the next free index unless told one."""
        self._charge(_ENTRY_BYTES)
        self._memo[len(self._memo) if index is None else index] = self.top()

    def recall(self, index: int) -> None:
        """Push a remembered value."""
        if index not in self._memo:
            raise MalformedFileError("a pickle refers to a value it never made")
        self._stack.append(self._memo[index])

    def set_items(self, pairs: list[object] | tuple[object, ...]) -> None:
        """Put keys and values into the dictionary on top of the stack."""
        target = self.top()
        if not isinstance(target, dict):
            raise MalformedFileError(f"items put into a {type(target).__name__}")
        self._charge(_ENTRY_BYTES * len(pairs))
        store(target, pairs)

    def extend(self, items: list[object] | tuple[object, ...]) -> None:
        """Append to the list on top of the stack."""
        target = self.top()
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Inert):
            raise MalformedFileError(f"items appended to a {type(target).__name__}")

    def add_items(self, items: list[object]) -> None:
        """Add to the set on top of the stack."""
        target = self.top()
        if not isinstance(target, set):
            raise MalformedFileError(f"items added to a {type(target).__name__}")
        self._charge(_ENTRY_BYTES * len(items))
        target.update(plain_set(items))

    def new_object(self) -> None:
        """Stand in for an object that the pickle makes from a class."""
        made_from, _arguments = self.pop_many(2)
        if not isinstance(made_from, Global):
            raise MalformedFileError("an object made from something that is not a class")
        if made_from.name in MODULE_CLASSES:
            self.push(StandIn(made_from.name))
        elif is_value(made_from.name) or may_be_class(made_from.name):
            self.push(Inert(made_from.name))
        else:
            raise MalformedFileError("an object made from something that is not a module class")

    def build(self) -> None:
        """Give the object on top of the stack its state."""
        state, target = self.pop(), self.top()
        if isinstance(target, StandIn) and isinstance(state, dict):
            target.state = state
        elif not isinstance(target, dict):  # an OrderedDict's attributes say nothing of weights
            raise MalformedFileError(f"state given to a {type(target).__name__}")

    def reduce(self) -> None:
        """Replace a constructor and its arguments by what it makes."""
        function, arguments = self.pop_many(2)
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise MalformedFileError("a call to something that is not a function")
        if function.name in CONSTRUCTORS:
            self.push(CONSTRUCTORS[function.name].call(arguments))
        elif is_value(function.name) or (may_be_class(function.name) and not arguments):
            self.push(Inert(function.name))
        elif may_be_class(function.name):
            raise ForeignGlobalError(function.name)
        else:
            raise MalformedFileError(f"a call to {function.name}")

    def persistent(self) -> None:
        """Replace a reference by the storage, or the class, that it points to."""
        match self.pop():
            case tuple(reference) if len(reference) > _MOST_REFERENCE_ITEMS:
                raise MalformedFileError("a reference of too many parts")
            case ("storage", Global(name), str(key), _location, numel, *view) if (
                name in STORAGE_DTYPES and len(key) <= _MOST_KEY_LENGTH and not any(view)
            ):
                self.push(self._read_storage(key, name, numel))
            # The legacy format wraps each module class, with its source code, on first use.
            case ("module", Global() as module_class, *_source):
                self.push(module_class)
            case _:
                raise MalformedFileError("a reference to something that is not a storage")
