"""Subject: a model and the network it came from, loaded and ready to be judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx
from torch import nn

from legoexport.compile.stamp import read_stamp
from legoexport.ort.session import RuntimeModel, parse_model
from legoexport.parity.diagnosis import checkpoint_note
from legoexport.parity.inputs import InputSet, real_inputs
from legoexport.parity.records import LayerRecord, largest_growth, read_records
from legoexport.parity.reference import Reference, ReferenceNetwork
from legoexport.parity.verify import check_input_shape, input_sets


@dataclass(frozen=True)
class Subject:
    """A model beside its network, with what both were given.

    Attributes:
        module: The network in training form.
        checkpoint_sha256: Digest of the file it came from, or None.
        model: The ONNX model.
        model_bytes: The file it was read from.
        runtime: The model in ONNX Runtime.
        records: Its Lego layers; none if the file is not ours.
        inputs: Images, set by set.
        references: What PyTorch gives for each set.
        threads: Threads of ONNX Runtime.
    """

    module: nn.Module
    checkpoint_sha256: str | None
    model: onnx.ModelProto
    model_bytes: bytes
    runtime: RuntimeModel
    records: tuple[LayerRecord, ...]
    inputs: tuple[InputSet, ...]
    references: tuple[Reference, ...]
    threads: int

    @property
    def growth(self) -> float:
        """The largest rounding growth among the lowerings of the model."""
        return largest_growth(self.records)

    @property
    def note(self) -> str | None:
        """Whether the model names another checkpoint."""
        return checkpoint_note(read_stamp(self.model), self.checkpoint_sha256)


def prepare(
    module: nn.Module,
    model_bytes: bytes,
    input_shape: tuple[int, int, int],
    *,
    checkpoint_sha256: str | None = None,
    data: Path | None = None,
    threads: int = 1,
) -> Subject:
    """Load the model and run the reference.

    Args:
        module: The network in training form, in any mode; it is left as it is.
        model_bytes: The ONNX file.
        input_shape: ``(c, h, w)`` that the network takes.
        checkpoint_sha256: Digest of the checkpoint file.
        data: A file of real images, as ``real_inputs`` reads it.
        threads: Threads of ONNX Runtime.

    Raises:
        UsageError: The model does not load, its metadata is damaged, it takes other inputs, or
            ``data`` does not fit.
    """
    model = parse_model(model_bytes, "the file")
    runtime = RuntimeModel(model_bytes, threads)
    check_input_shape(runtime, input_shape)
    shape, batch_size = runtime.input_shape, runtime.fixed_batch_size
    real = None if data is None else real_inputs(data, shape, batch_size)
    inputs = input_sets(runtime, real)
    network = ReferenceNetwork(module)
    return Subject(
        module=module,
        checkpoint_sha256=checkpoint_sha256,
        model=model,
        model_bytes=model_bytes,
        runtime=runtime,
        records=read_records(model),
        inputs=inputs,
        references=tuple(network.run(one.images) for one in inputs),
        threads=threads,
    )
