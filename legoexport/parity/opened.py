"""OpenedModel: an ONNX file, read once and open in one session of ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from legoexport.errors import UsageError
from legoexport.lego.layer_records import LayerRecord
from legoexport.ort.session import RuntimeModel, parse_model
from legoexport.parity.records import largest_growth, read_records


@dataclass(frozen=True)
class OpenedModel:
    """A model that is ready to run.

    Attributes:
        model_bytes: The file.
        model: What it holds.
        runtime: The one session that runs it as users do.
        records: Its Lego layers; none if legoexport did not write the file.
        threads: Threads of ONNX Runtime.
    """

    model_bytes: bytes
    model: onnx.ModelProto
    runtime: RuntimeModel
    records: tuple[LayerRecord, ...]
    threads: int

    @property
    def growth(self) -> float:
        """The largest rounding growth among the lowerings of the model."""
        return largest_growth(self.records)

    @property
    def input_size(self) -> tuple[int, int]:
        """``(h, w)`` of an image, in pixels."""
        _, height, width = self.runtime.input_shape
        return height, width


def open_model(source: Path | str | bytes, threads: int = 1) -> OpenedModel:
    """Read an ONNX file and load it.

    Args:
        source: The file, by its path or by its bytes.
        threads: Threads of ONNX Runtime.

    Raises:
        UsageError: The file is unreadable, ONNX Runtime does not load it, it does not take one
            image tensor, or its metadata is damaged.
    """
    if isinstance(source, bytes):
        model_bytes, name = source, "the model"
    else:
        model_bytes, name = _read(Path(source)), str(source)
    model = parse_model(model_bytes, name)
    runtime = RuntimeModel(model_bytes, threads)
    return OpenedModel(model_bytes, model, runtime, read_records(model), threads)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}", received=error.strerror) from None
