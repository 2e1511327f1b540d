"""What a report is made of: what the other commands find, and nothing that is found another way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legoexport.compile.freeze import LayerAudit
from legoexport.inspect.inventory import Inventory
from legoexport.lego.frozen import FrozenLego
from legoexport.lego.scales import Precision
from legoexport.lego.storage import Store
from legoexport.measure.timing import Comparison, Timing
from legoexport.ort.partitions import Partitions
from legoexport.parity.verification import Verification
from legoexport.quantize.cost import RoundingCost


@dataclass(frozen=True)
class Subject:
    """The files that a report is about.

    Attributes:
        checkpoint: Path of the checkpoint, as given.
        checkpoint_sha256: Digest of that file.
        model: Path of the ONNX file, as given.
        model_sha256: Digest of that file.
        size_bytes: Its size.
        other: Path of the dense network, as given; None without one.
        other_size_bytes: Its size.
        provenance: What the ONNX file says of itself, by key.
        class_names: Name of each class, where the file has them.
        precision: What the ONNX file computes in.
        store: What it holds of banks and dense weights.
    """

    checkpoint: str
    checkpoint_sha256: str
    model: str
    model_sha256: str
    size_bytes: int
    other: str | None
    other_size_bytes: int | None
    provenance: Mapping[str, str]
    class_names: tuple[str, ...]
    precision: Precision
    store: Store

    @property
    def is_rounded(self) -> bool:
        """Whether it holds anything in fewer bits than training did."""
        return (self.precision, self.store) != ("fp32", "fp32")


@dataclass(frozen=True)
class Commands:
    """The commands that give the numbers again, as they are typed into a shell.

    Attributes:
        report: The whole report.
        verify: Errors, of the outputs and layer by layer.
        precision: What rounding costs.
        inspect: Sizes, parameters and multiply-adds.
        bench: Latency.
    """

    report: str
    verify: str
    precision: str
    inspect: str
    bench: str


@dataclass(frozen=True)
class LayerMasks:
    """One Lego layer with its masks settled.

    Attributes:
        frozen: Its bank and tables.
        audit: How evenly the bank is used.
    """

    frozen: FrozenLego
    audit: LayerAudit

    @property
    def uses(self) -> NDArray[np.int64]:
        """Outputs that take filter j of fragment i, ``(o, m)``."""
        rows = [np.bincount(row, minlength=self.frozen.m) for row in self.frozen.index]
        return np.stack(rows).astype(np.int64)


@dataclass(frozen=True)
class Rights:
    """Labelled images that are classified correctly.

    Attributes:
        images_count: Images with a label.
        model_count: Right in the ONNX file.
        other_count: Right in the dense network; None if it cannot be told.
    """

    images_count: int
    model_count: int
    other_count: int | None


@dataclass(frozen=True)
class Facts:
    """All that a report shows.

    Attributes:
        subject: The files.
        commands: What repeats the numbers.
        verification: The verdict on the ONNX file.
        inventory: What it stores and multiplies, beside its dense twin.
        layers: The Lego layers of the checkpoint, in module order.
        partitions: What the mobile providers would take of the file.
        placed_here: Nodes that the providers of this ONNX Runtime take, by their short names.
        measured: Latency, of both files where there are two.
        rights: Accuracy, where the images have labels.
        machine: What measured, a row each.
        cost: What int8 costs, or weights in fewer bits; None if nothing is rounded, or nobody
            measured it.
    """

    subject: Subject
    commands: Commands
    verification: Verification
    inventory: Inventory
    layers: tuple[LayerMasks, ...]
    partitions: tuple[Partitions, ...]
    placed_here: Mapping[str, int]
    measured: Timing | Comparison
    rights: Rights | None
    machine: tuple[tuple[str, str], ...]
    cost: RoundingCost | None

    @property
    def timing(self) -> Timing:
        """The latency of the file."""
        return self.measured.timing if isinstance(self.measured, Comparison) else self.measured

    @property
    def other_timing(self) -> Timing | None:
        """The latency of the dense network."""
        return self.measured.other if isinstance(self.measured, Comparison) else None
