"""What one machine does in a second: the constants of the cost model, as a value and as a file.

The built-in ones are those of one server; ``legoexport calibrate`` measures those of another. The
same constants choose the same plan, so a file converted with measured ones names their digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from legoexport.errors import UsageError

FORMAT_VERSION = 1
LEGAL = (
    f'{{"version": {FORMAT_VERSION}, "processor": NAME, "onnxruntime": VERSION, "rates": [...]}},'
    " as legoexport calibrate writes it"
)


@dataclass(frozen=True)
class IntegerRates:
    """What one machine does in a second with integers of 8 bits.

    Attributes:
        macs_per_second: Of a convolution in one group.
        grouped_macs_per_second: Of a convolution in groups.
        seconds_per_sum: To round a sum of 32 bits to an integer of 8.
        seconds_per_copy: To copy a piece of what filters cover, or of what is split and joined.
        seconds_per_node: Spent before an operator starts.
    """

    macs_per_second: float
    grouped_macs_per_second: float
    seconds_per_sum: float
    seconds_per_copy: float
    seconds_per_node: float

    def __post_init__(self) -> None:
        """Refuse what no machine does.

        Raises:
            UsageError: As for ``Rates``.
        """
        _check(asdict(self))


@dataclass(frozen=True)
class Rates:
    """What one machine does in a second with a given number of threads.

    Attributes:
        threads: Intra-op threads of ONNX Runtime.
        macs_per_second: Of a convolution in the blocked layout.
        bytes_per_second: Read and written by operators that only move data.
        tile_bytes_per_second: The same, in steps along both axes of a map.
        seconds_per_node: Spent before an operator starts.
        seconds_per_spilled_byte: Spent more where maps do not fit the caches.
        integers: The same of integers; None where they were not measured.
    """

    threads: int
    macs_per_second: float
    bytes_per_second: float
    tile_bytes_per_second: float
    seconds_per_node: float
    seconds_per_spilled_byte: float
    integers: IntegerRates | None = None

    def __post_init__(self) -> None:
        """Refuse what no machine does.

        Raises:
            UsageError: A number is not finite or not positive; only what is in seconds may be 0.
        """
        _check({name: number for name, number in asdict(self).items() if name != "integers"})

    @classmethod
    def of_entry(cls, entry: Mapping[str, Any]) -> Rates:
        """Read what ``entry`` gives.

        Raises:
            TypeError: ``entry`` holds something else.
            UsageError: No machine has such rates.
        """
        integers = entry.get("integers")
        found = None if integers is None else IntegerRates(**integers)
        return cls(**{**entry, "integers": found})

    def entry(self) -> dict[str, Any]:
        """Return what ``of_entry`` reads; what was not measured is not there."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class MachineConstants:
    """The constants of one machine.

    Attributes:
        processor: Its name, as the operating system gives it.
        onnxruntime: The version that was measured.
        rates: By number of threads, ascending from 1.
    """

    processor: str
    onnxruntime: str
    rates: tuple[Rates, ...]

    def __post_init__(self) -> None:
        """Refuse thread counts that leave a plan without rates.

        Raises:
            UsageError: They do not ascend from 1.
        """
        counts = [rates.threads for rates in self.rates]
        if counts != sorted({1, *counts}):
            raise UsageError("threads of a machine's rates", received=counts, legal="1, ascending")

    def with_threads(self, threads: int) -> Rates:
        """Return the rates of the largest measured number of threads up to ``threads``."""
        return next(rates for rates in reversed(self.rates) if rates.threads <= threads)

    @property
    def is_built_in(self) -> bool:
        """Whether these are the constants that everyone has."""
        return self == BUILT_IN

    @property
    def sha256(self) -> str:
        """Digest of ``to_json()``, and so of the file that ``calibrate`` writes."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def content(self) -> dict[str, Any]:
        """Return what the file holds."""
        entries = [rates.entry() for rates in self.rates]
        return {"version": FORMAT_VERSION, **asdict(self), "rates": entries}

    def to_json(self) -> str:
        """Return JSON text that ``from_json`` reads back."""
        return json.dumps(self.content(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, *, source: str) -> MachineConstants:
        """Read constants.

        Raises:
            UsageError: ``text`` holds none, or those of another version; ``source`` is named.
        """
        try:
            content = json.loads(text)
            version = content["version"]
            rates = [dict(entry) for entry in content["rates"]]
            names = str(content["processor"]), str(content["onnxruntime"])
        except (ValueError, KeyError, TypeError) as error:
            problem = f"{source} holds no constants of a machine"
            raise UsageError(problem, received=repr(error), legal=LEGAL) from None
        if version != FORMAT_VERSION:
            problem = f"{source}: constants of another format version"
            raise UsageError(problem, received=version, legal=FORMAT_VERSION)
        try:
            return cls(*names, tuple(map(Rates.of_entry, rates)))
        except (TypeError, UsageError) as error:
            raise UsageError(f"{source}: {error}") from None


def integer_rates(rates: Rates) -> IntegerRates:
    """Return those of integers; where they were not measured, those built in."""
    return rates.integers or _INTEGERS[BUILT_IN.with_threads(rates.threads).threads]


def _check(numbers: Mapping[str, object]) -> None:
    wrong = [name for name, number in numbers.items() if not _is_legal(name, number)]
    if wrong:
        raise UsageError(
            f"no machine has such {', '.join(wrong)}",
            received=", ".join(str(numbers[name]) for name in wrong),
            legal="finite and positive numbers; those in seconds may be 0",
        )


def _is_legal(name: str, number: object) -> bool:
    if isinstance(number, bool) or not isinstance(
        number, int if name == "threads" else int | float
    ):
        return False
    return isfinite(number) and (number > 0 or (name.startswith("seconds") and number == 0))


# Fitted to 34 layers on an EPYC with VNNI, where the choices take 1.005 times as long as the best
# forms; on a Xeon with VNNI they take 1.004, on an EPYC without it, which multiplies integers a
# sixth as fast, 1.012. Those for four threads are scaled from the latter, not measured.
_INTEGERS = {
    1: IntegerRates(520e9, 420e9, 0.103e-9, 1.95e-9, 0.38e-6),
    4: IntegerRates(300e9, 280e9, 0.13e-9, 1.3e-9, 5e-6),
}
# Measured with ONNX Runtime 1.32 on an x86-64 server with AVX-512 and 2 MiB of L2 a core: a dense
# 3x3 convolution of 256 maps of 56x56; the gather of 64 maps of 224x224 and the sum after it; a
# chain of convolutions of one pixel. Other machines differ most in the first, and threads multiply
# it by more than the second: measuring beats this model wherever it is possible.
# At four threads a gather moves 64e9 bytes a second there, a reordering 105e9.
BUILT_IN = MachineConstants(
    processor="x86-64 server with AVX-512",
    onnxruntime="1.32",
    rates=(
        Rates(
            threads=1,
            macs_per_second=90e9,
            bytes_per_second=24e9,
            tile_bytes_per_second=24e9,
            seconds_per_node=0.4e-6,
            seconds_per_spilled_byte=0.0,
            integers=_INTEGERS[1],
        ),
        Rates(
            threads=4,
            macs_per_second=312e9,
            bytes_per_second=100e9,
            tile_bytes_per_second=100e9,
            seconds_per_node=5e-6,
            seconds_per_spilled_byte=0.0,
            integers=_INTEGERS[4],
        ),
    ),
)
