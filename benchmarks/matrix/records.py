"""What was found, as frozen records; the document is made from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from legoexport.errors import UsageError
from legoexport.ort.partitions import Partitions


@dataclass(frozen=True)
class Conditions:
    """When and where the matrix was filled.

    Attributes:
        date: ISO date of the last addition.
        machine: The machine, as ``legoexport.host.machine`` describes it.
        versions: Versions of the packages that made the files and the golden outputs.
    """

    date: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]

    def fits(self, other: Conditions) -> bool:
        """Whether cells taken under ``other`` may stand beside those taken under these."""
        same = all(
            self.machine[name] == other.machine[name]
            for name in ("cpu_model", "architecture", "onnxruntime")
        )
        return same and self.versions == other.versions


@dataclass(frozen=True)
class FileRecord:
    """A file, which is a row of the matrix.

    Attributes:
        backbone: One of ``names.BACKBONES``.
        lowering: The lowering used wherever it serves.
        sha256: Digest of the file.
        size_bytes: Size of the file.
        layers_count: Lego layers.
        served_count: Those that got the lowering; the others got the first that serves.
        partitions: What the mobile providers take of it.
    """

    backbone: str
    lowering: str
    sha256: str
    size_bytes: int
    layers_count: int
    served_count: int
    partitions: tuple[Partitions, ...]

    def __post_init__(self) -> None:
        """Refuse what no file has."""
        if self.size_bytes < 1 or not 1 <= self.served_count <= self.layers_count:
            raise UsageError("a file of the matrix", received=self)

    @property
    def key(self) -> str:
        """What it replaces an older record by."""
        return f"{self.backbone} {self.lowering}"

    def of(self, provider: str) -> Partitions:
        """Return what a provider of ``legoexport.ort.partitions`` takes."""
        return next(one for one in self.partitions if one.provider == provider)

    def to_json(self) -> dict[str, Any]:
        """Return the attributes under their own names."""
        return asdict(self)


@dataclass(frozen=True)
class Cell:
    """A file on a runtime: how far its outputs are from the golden ones, and where it ran.

    Attributes:
        backbone: As in ``FileRecord``.
        lowering: As in ``FileRecord``.
        runtime: The name given to ``--runtime``.
        sha256: Digest of the file that ran.
        described: The runtime in words, with its version.
        error_ratio: Largest error over the output's range, in the set of images that comes closest
            to its limit; None where an output is not finite.
        limit_ratio: The limit of the parity rule for that set, over the same range.
        passed: Whether the rule holds in every set.
        nodes: Nodes by execution provider; empty where the runtime does not tell.
        failure: What the runtime said where it gave no outputs; empty where it gave some.
    """

    backbone: str
    lowering: str
    runtime: str
    sha256: str
    described: str
    error_ratio: float | None
    limit_ratio: float | None
    passed: bool
    nodes: Mapping[str, int] = field(hash=False)
    failure: str = ""

    def __post_init__(self) -> None:
        """Refuse a verdict that the figures contradict."""
        has_figures = self.error_ratio is not None and self.limit_ratio is not None
        if self.passed and (not has_figures or self.failure or self.beyond_limit):
            raise UsageError("a cell of the matrix", received=self, legal="passed within the limit")

    @property
    def beyond_limit(self) -> bool:
        """Whether the error is known and larger than the limit."""
        known = self.error_ratio is not None and self.limit_ratio is not None
        return known and float(self.error_ratio or 0.0) > float(self.limit_ratio or 0.0)

    @property
    def key(self) -> str:
        """What it replaces an older record by."""
        return f"{self.backbone} {self.lowering} {self.runtime}"

    def to_json(self) -> dict[str, Any]:
        """Return the attributes under their own names."""
        return asdict(self)


def read_file(value: Mapping[str, Any]) -> FileRecord:
    """Return the record that ``to_json`` wrote.

    Raises:
        KeyError, TypeError: It wrote something else.
    """
    partitions = tuple(
        Partitions(**{**one, "unsupported_ops": tuple(one["unsupported_ops"])})
        for one in value["partitions"]
    )
    return FileRecord(**{**value, "partitions": partitions})


def read_cell(value: Mapping[str, Any]) -> Cell:
    """Return the record that ``to_json`` wrote.

    Raises:
        TypeError: It wrote something else.
    """
    return Cell(**value)
