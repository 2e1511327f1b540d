"""Packaging: a conversion in ORT format, proved again as it will be loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from legoexport.deliver.conversion import Conversion
from legoexport.deliver.ort_format import OrtFormat, config_path, to_ort_format
from legoexport.deliver.prove import rounding_growth
from legoexport.errors import InvariantBroken, ParityFailed
from legoexport.host import atomic
from legoexport.ort.session import RuntimeModel
from legoexport.parity.agreement import Agreement
from legoexport.parity.judge_outputs import check_model, input_sets
from legoexport.parity.reference import reference_of
from legoexport.passes.eligible import automatic
from legoexport.passes.plan import why_not
from legoexport.passes.preference import held_bytes
from legoexport.target import Target


@dataclass(frozen=True)
class Package:
    """A conversion in ORT format.

    Attributes:
        ort: The file and what a reduced build needs for it.
        agreement: Its parity with PyTorch.
        onnx_size_bytes: Size of the ONNX file that it was made from.
        smallest_lowering: The lowering of the target that holds the fewest weights once folded.
    """

    ort: OrtFormat
    agreement: Agreement
    onnx_size_bytes: int
    smallest_lowering: str

    @property
    def size_bytes(self) -> int:
        """Size of the file in ORT format."""
        return len(self.ort.model_bytes)

    @property
    def growth_ratio(self) -> float:
        """Bytes after folding over bytes before."""
        return self.size_bytes / self.onnx_size_bytes

    def to_json(self) -> dict[str, Any]:
        """Return sizes, operators and parity as JSON values."""
        return {
            "size_bytes": self.size_bytes,
            "onnx_size_bytes": self.onnx_size_bytes,
            "growth_ratio": self.growth_ratio,
            "smallest_lowering": self.smallest_lowering,
            "operators": self.ort.operators.splitlines(),
            "parity": self.agreement.to_json(),
        }


def package(
    module: nn.Module,
    conversion: Conversion,
    input_shape: tuple[int, int, int],
    target: Target,
    max_size_bytes: int | None = None,
) -> Package:
    """Convert to ORT format, load it back, and hold it to what the ONNX file was held to.

    A file that computes in int8 was proved integer by integer as ONNX; in ORT format its operators
    are fused, so that no integer can be exposed, and it must give the same outputs to the bit.

    Args:
        module: The network that was converted.
        conversion: What became of it.
        input_shape: ``(c, h, w)``.
        target: What it was converted for.
        max_size_bytes: The user's own limit on the file.

    Raises:
        CheckFailed: The converter fails.
        ParityFailed: The file does not compute what PyTorch computes.
        InvariantBroken: It is larger than the user's limit.
    """
    ort = to_ort_format(conversion.model_bytes, fuse=target.fuses_offline)
    if conversion.computes is None:
        agreement = _equal_to_pytorch(module, conversion, input_shape, ort)
    else:
        agreement = _equal_to_onnx(conversion, ort)
    smallest = _smallest(conversion, target)
    packed = Package(ort, agreement, len(conversion.model_bytes), smallest)
    if max_size_bytes is not None and packed.size_bytes > max_size_bytes:
        raise InvariantBroken(
            "the file in ORT format is larger than --max-size",
            received=f"{packed.size_bytes} bytes, {packed.onnx_size_bytes} as ONNX",
            legal=f"at most {max_size_bytes} bytes",
            next_step=f"convert with --prefer {smallest}, or ship the ONNX file",
        )
    return packed


def _equal_to_pytorch(
    module: nn.Module, conversion: Conversion, input_shape: tuple[int, int, int], ort: OrtFormat
) -> Agreement:
    compiled = conversion.compiled
    growth, resize = rounding_growth(compiled), compiled.resize
    taken = input_shape if resize is None else (input_shape[0], *resize.source)
    judged = reference_of(module, compiled.pixels, compiled.output, resize)
    agreement = check_model(judged, ort.model_bytes, taken, growth=growth)
    if not agreement.passed:
        raise ParityFailed(
            "the model in ORT format does not compute what PyTorch computes", received=agreement
        )
    return agreement


def _equal_to_onnx(conversion: Conversion, ort: OrtFormat) -> Agreement:
    """Hold a file in int8 to the one it was made of; both run as users run them, in one kind."""
    here, packed = (RuntimeModel(one, 1) for one in (conversion.model_bytes, ort.model_bytes))
    for inputs in input_sets(here, None):
        runs = [one.run_all(inputs.arrays, inputs.batch_size) for one in (here, packed)]
        wrong = [name for name in runs[0] if not np.array_equal(runs[0][name], runs[1][name])]
        if wrong:
            raise ParityFailed(
                "the model in ORT format does not give the outputs of the ONNX file",
                received=f"{', '.join(wrong)} on {inputs.name}",
                legal="equal to the bit",
                next_step="ship the ONNX file",
            )
    return conversion.agreement


def write(packed: Package, path: Path) -> Path:
    """Write the file, and beside it the configuration for a reduced build; return where."""
    config = config_path(path)
    atomic.write_bytes(config, packed.ort.config(path.name))
    atomic.write_bytes(path, packed.ort.model_bytes)
    return config


def _smallest(conversion: Conversion, target: Target) -> str:
    """Choose among the lowerings that serve every layer; a dense one always does."""
    sites = [layer.site for layer in conversion.compiled.layers]
    serving: tuple[str, ...] = target.int8_lowerings  # one that declines a layer leaves it another
    if conversion.computes is None:
        serving = tuple(
            name
            for name in automatic(target)
            if all(why_not(name, site, target) is None for site in sites)
        )
    return min(serving, key=lambda name: sum(held_bytes(site, name) for site in sites))
