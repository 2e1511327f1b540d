"""OpenedModel: an ONNX file, read once and open in one session of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor

from legoexport.compile.stamp import read_integer_ranges
from legoexport.host.reading import read_bytes
from legoexport.lego.file_facts import FileFacts, read_facts
from legoexport.lego.layer_records import LayerRecord
from legoexport.lego.normalization import Normalization
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
    def facts(self) -> FileFacts:
        """What the file says of itself."""
        return read_facts(self.model)

    @property
    def pixels(self) -> Normalization | None:
        """How the file normalises the pixels that it takes; None if it takes anything else."""
        return self.facts.pixels

    @property
    def growth(self) -> float:
        """The largest rounding growth among the lowerings of the model."""
        return largest_growth(self.records)

    @property
    def takes_image(self) -> bool:
        """Whether the model takes one image and nothing else."""
        first, *others = self.runtime.inputs
        return not others and (first.is_image or self.pixels is not None)

    @property
    def input_size(self) -> tuple[int, int] | None:
        """``(h, w)`` in pixels of the image the network takes; None if it takes other input."""
        return self.network_shape[1:] if self.takes_image else None

    @property
    def network_shape(self) -> tuple[int, int, int]:
        """``(c, h, w)`` of the image the network takes: where the model scales it, once scaled.

        Raises:
            UsageError: The model does not take one image and nothing else.
        """
        resize = self.facts.resize
        channels, *size = self.runtime.image_shape
        height, width = size if resize is None else resize.size
        return channels, height, width

    @property
    def integer_ranges(self) -> Mapping[str, tuple[int, int]]:
        """As ``draw_inputs`` takes them."""
        return read_integer_ranges(self.model)

    def example(self) -> tuple[Tensor, ...]:
        """Return one batch of what the network takes, with the ends of its range for integers."""
        if self.pixels is not None:
            return (torch.zeros(self.runtime.fixed_batch_size or 1, *self.network_shape),)
        batch_size, ranges = self.runtime.fixed_batch_size or 1, self.integer_ranges
        inputs = []
        for one in self.runtime.inputs:
            zeros = np.zeros((batch_size, *one.shape), one.dtype)
            low, high = ranges.get(one.name, (0, 0))
            zeros.flat[0], zeros.flat[-1] = low, high
            inputs.append(torch.from_numpy(zeros))
        return tuple(inputs)


def open_model(source: Path | str | bytes, threads: int = 1) -> OpenedModel:
    """Read an ONNX file and load it.

    Args:
        source: The file, by its path or by its bytes.
        threads: Threads of ONNX Runtime.

    Raises:
        UsageError: The file is unreadable, ONNX Runtime does not load it, an input
            leaves more open than its batch, or its metadata is damaged.
    """
    if isinstance(source, bytes):
        model_bytes, name = source, "the model"
    else:
        model_bytes, name = read_bytes(Path(source)), str(source)
    model = parse_model(model_bytes, name)
    runtime = RuntimeModel(model_bytes, threads)
    return OpenedModel(model_bytes, model, runtime, read_records(model), threads)
