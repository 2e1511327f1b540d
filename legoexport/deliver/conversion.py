"""What a conversion gives: the finished file, and all that was found out on the way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from legoexport.compile.freeze import FrozenNetwork
from legoexport.compile.stages import Compiled
from legoexport.deliver.integer_invariants import Computes
from legoexport.host import atomic
from legoexport.parity.agreement import Agreement
from legoexport.parity.integer.walk_file import Walked
from legoexport.quantize.calibrate import Calibration
from legoexport.quantize.cost import RoundingCost
from legoexport.quantize.revert import Held
from legoexport.tune import Tuned


@dataclass(frozen=True)
class Conversion:
    """A converted network, proved but not written yet.

    Attributes:
        model_bytes: The finished ONNX file.
        compiled: The graph and how it came about.
        network: The frozen network and its audit.
        agreement: Parity of the file with PyTorch.
        tuned: How the plan was found, if it was measured.
        calibration: Where its integers come from, if it computes in int8.
        computes: What ONNX Runtime computes in integers, if it does.
        integers: How all of them compare with an independent implementation, if it does.
        float_agreement: Parity of the network in float that they follow with PyTorch, if it does.
        held: How the file came to hold its limit on the accuracy it loses, if it has one.
        cost: What rounding costs, if the file computes in int8 or stores its weights in fewer bits.
        dense_twin: The same function as a dense network, as an ONNX file, if it was asked for.
    """

    model_bytes: bytes
    compiled: Compiled
    network: FrozenNetwork
    agreement: Agreement
    tuned: Tuned | None = None
    calibration: Calibration | None = None
    computes: Computes | None = None
    integers: Walked | None = None
    float_agreement: Agreement | None = None
    held: Held | None = None
    cost: RoundingCost | None = None
    dense_twin: bytes | None = None

    def save(self, path: Path | str) -> Path:
        """Write the file in one step and return its path.

        Raises:
            UsageError: The folder does not exist or cannot be written. An existing file is replaced
                whole or not at all.
        """
        path = Path(path)
        atomic.write_bytes(path, self.model_bytes)
        return path
