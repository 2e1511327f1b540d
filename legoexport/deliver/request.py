"""What a conversion is asked for: a network, and what its file has to be."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from legoexport.compile.stages import CompileOptions
from legoexport.lego.normalization import Normalization
from legoexport.parity.inputs import InputSet
from legoexport.quantize.settle import CalibrationOptions
from legoexport.tune import TuneOptions


@dataclass(frozen=True)
class Origin:
    """What a file tells of where its network came from.

    Attributes:
        checkpoint_sha256: Digest of the checkpoint; None for a live network.
        normalization: Of the pictures in training; None if it is not known.
        class_names: One for each score, or none.
    """

    checkpoint_sha256: str | None
    normalization: Normalization | None
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class ConversionRequest:
    """A conversion to carry out.

    Attributes:
        module: The network as it was trained.
        inputs: One batch of each input, as ``checked_example`` gives them.
        options: What to compile for.
        origin: What the file tells of its network.
        calibrate: Real images to calibrate a network with that is to compute in int8.
        images: Real images to tell what fewer bits cost on.
        max_drop_points: How much worse on ``images`` than the trained network a file in int8 may
            be, in percentage points; None for no limit.
        tuning: How to measure plans; None to choose one without measuring.
        max_size_bytes: Largest file that is accepted.
        dense_twin: Whether to compile the dense network that computes the same function, too.
    """

    module: nn.Module
    inputs: tuple[Tensor, ...]
    options: CompileOptions
    origin: Origin
    calibrate: CalibrationOptions | None
    images: InputSet | None
    max_drop_points: float | None
    tuning: TuneOptions | None
    max_size_bytes: int | None
    dense_twin: bool
