"""PageModel: the model of a page, with its inputs and outputs, if a page can show it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from legoexport.classify.classifier import count_classes
from legoexport.errors import UsageError
from legoexport.host.reading import read_bytes
from legoexport.lego.file_facts import FileFacts, read_facts
from legoexport.lego.output_form import top_count
from legoexport.ort.session import GREY_OR_COLOUR, RuntimeModel, parse_model
from legoexport.parity.single import check_single


@dataclass(frozen=True)
class PageModel:
    """A classifier of images.

    Attributes:
        name: Name of the file.
        model_bytes: The ONNX file.
        input_name: Name of the graph's input.
        output_name: Name of the graph's first output.
        indices_name: Name of its second, the classes of those likeliest; None where it gives all.
        input_shape: ``(c, h, w)`` of an image.
        fixed_batch_size: The batch, or None where it is open.
        classes_count: How many classes it tells apart.
        facts: What the file says of itself.
    """

    name: str
    model_bytes: bytes
    input_name: str
    output_name: str
    indices_name: str | None
    input_shape: tuple[int, int, int]
    fixed_batch_size: int | None
    classes_count: int
    facts: FileFacts

    @property
    def takes_pixels(self) -> bool:
        """Whether it takes ``(b, h, w, c)`` in uint8, and normalises it itself."""
        return self.facts.pixels is not None

    @property
    def sha256(self) -> str:
        """Digest of the file."""
        return hashlib.sha256(self.model_bytes).hexdigest()


def read_model(path: Path) -> PageModel:
    """Read an ONNX file and run it once.

    Raises:
        UsageError: It is unreadable, keeps data in other files, or is not a classifier of images.
        CheckFailed: ONNX Runtime stops with an error while it runs.
    """
    model_bytes = read_bytes(path)
    model = parse_model(model_bytes, str(path))
    facts = read_facts(model)
    if facts.resize is not None:
        raise UsageError(
            f"{path}: a page scales pictures itself, to the size of the network",
            received="a file made with --resize {}x{}".format(*facts.resize.source),
            next_step="convert without --resize for the page",
        )
    runtime = RuntimeModel(model_bytes, 1)
    is_top = top_count(facts.output) is not None
    if not is_top:
        check_single(runtime)
    classes_count = _count_classes(path, runtime, facts)
    return PageModel(
        name=path.name,
        model_bytes=model_bytes,
        input_name=model.graph.input[0].name,
        output_name=model.graph.output[0].name,
        indices_name=model.graph.output[1].name if is_top else None,
        input_shape=runtime.image_shape,
        fixed_batch_size=runtime.fixed_batch_size,
        classes_count=classes_count,
        facts=facts,
    )


def _count_classes(path: Path, runtime: RuntimeModel, facts: FileFacts) -> int:
    """Run the model once, and return how many classes it tells apart."""
    channels, *_ = runtime.image_shape
    batch_size, (image,) = runtime.fixed_batch_size or 1, runtime.inputs
    blank = np.zeros((batch_size, *image.shape), image.dtype)
    outputs = tuple(runtime.run_all((blank,), batch_size).values())
    shapes = ", ".join(str(one.shape) for one in outputs)
    count = count_classes(outputs, facts)
    is_known = image.is_pixels == (facts.pixels is not None)
    if count is None or not is_known or channels not in GREY_OR_COLOUR:
        raise UsageError(
            f"{path} is not a classifier of images",
            received=f"{blank.dtype} {blank.shape} -> {shapes}",
            legal="(batch, 1 or 3, h, w), or pixels of convert --input image -> (batch, classes)",
        )
    return count
