"""Records on disk: one JSON file for each part, complete after every measurement."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from benchmarks.records import Profile, Race, Taken, read_profile, read_race
from legoexport.errors import UsageError
from legoexport.host.atomic import write_bytes

RESULTS = Path(__file__).with_name("results")
# Folders in it for what was measured on other machines; a new one is a line here.
OTHER_MACHINES = ("zen5", "epyc")
R = TypeVar("R", Race, Profile)


class Store(Generic[R]):
    """The records of one part, by key, in the order they were first taken.

    Args:
        path: The file; none yet is an empty store.
        read: Makes a record of its JSON.

    Raises:
        UsageError: The file holds something else.
    """

    def __init__(self, path: Path, read: Callable[[Mapping[str, Any]], R]) -> None:
        self.path = path
        self._records: dict[str, R] = {}
        if path.exists():
            try:
                records = [read(value) for value in json.loads(path.read_text())]
            except (ValueError, TypeError, KeyError) as error:
                raise UsageError(f"{path} holds no records", received=repr(error)) from None
            self._records = {record.key: record for record in records}

    @property
    def records(self) -> tuple[R, ...]:
        """All of them."""
        return tuple(self._records.values())

    def holds(self, key: str, taken: Taken) -> bool:
        """Whether there is a record of that key that ``taken`` would only repeat."""
        return key in self._records and taken.repeats(self._records[key].taken)

    def add(self, record: R) -> None:
        """Put a record in the place of an older one of its key, and write the file.

        Records of other machines are dropped: a table must not compare machines unawares.
        """
        machine = record.taken.machine
        kept = {key: one for key, one in self._records.items() if one.taken.machine == machine}
        self._records = kept | {record.key: record}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps([one.to_json() for one in self.records], indent=1, allow_nan=False)
        write_bytes(self.path, (content + "\n").encode())


def races(part: str, folder: Path = RESULTS) -> Store[Race]:
    """Return the races of a part, such as ``networks``."""
    return Store(folder / f"{part}.json", read_race)


def profiles(folder: Path = RESULTS) -> Store[Profile]:
    """Return the profiles."""
    return Store(folder / "layers.json", read_profile)
