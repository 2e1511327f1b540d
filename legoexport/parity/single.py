"""What takes one image and gives one output of floats, as runtimes elsewhere and pages need."""

from __future__ import annotations

from legoexport.errors import UsageError
from legoexport.ort.session import RuntimeModel


def check_single(model: RuntimeModel) -> None:
    """Refuse what only ONNX Runtime in this process is given.

    Raises:
        UsageError: The model takes other than one image, or gives several outputs or one of
            integers or booleans.
    """
    _ = model.image_shape
    if len(model.output_names) != 1 or model.output_dtypes != ("float32",):
        raise UsageError(
            "the model must give one output, of float32",
            received=dict(zip(model.output_names, model.output_dtypes, strict=True)),
            legal="one output of float32",
            next_step="verify it in this process, without --runtime; for a page, convert the"
            " network with the scores alone as its output",
        )
