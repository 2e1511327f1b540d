"""ORT format: the file that a reduced build of ONNX Runtime loads, by onnxruntime's own converter.

The converter loads the model, optimizes it and saves what it has then. Constants are folded for
good: weights that were computed from one stored bank are stored expanded. It writes its tables in
another order each time, so the same model does not give the same bytes.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from legoexport.errors import CheckFailed
from legoexport.signals import temporary_folder

CONFIG_SUFFIX = ".required_operators_and_types.config"


def config_path(path: Path) -> Path:
    """Return where the configuration of a reduced build goes, beside the file at ``path``."""
    return path.with_suffix(CONFIG_SUFFIX)


@dataclass(frozen=True)
class OrtFormat:
    """A model in ORT format.

    Attributes:
        model_bytes: The file.
        operators: Operators and types that it needs, one domain and opset a line, as
            ``build.py --include_ops_by_config`` of ONNX Runtime takes them.
    """

    model_bytes: bytes
    operators: str

    def config(self, source: str) -> bytes:
        """Return the configuration for a reduced build; ``source`` names the model in it."""
        text = f"# Operators that {source} needs\n{self.operators}"
        return text.encode(errors="surrogateescape")  # a name may hold what the locale cannot read


def to_ort_format(model_bytes: bytes, *, fuse: bool) -> OrtFormat:
    """Convert an ONNX file.

    Args:
        model_bytes: The ONNX file.
        fuse: Use the operators that ONNX Runtime fuses for its own CPU kernels. Otherwise they are
            kept beside the standard ones and used only if a session asks for them; providers that
            compile the graph themselves know only the standard ones.

    Raises:
        CheckFailed: The converter does not give a file.
    """
    with temporary_folder("legoexport-ort-") as folder:
        (folder / "model.onnx").write_bytes(model_bytes)
        _convert(folder / "model.onnx", fuse=fuse)
        models, configs = list(folder.glob("*.ort")), list(folder.glob("*.config"))
        if len(models) != 1 or len(configs) != 1:
            raise CheckFailed("onnxruntime's converter gave no file", received=models + configs)
        lines = configs[0].read_text().splitlines(keepends=True)
        operators = "".join(line for line in lines if not line.startswith("#"))
        return OrtFormat(models[0].read_bytes(), operators)


def _convert(path: Path, *, fuse: bool) -> None:
    from onnxruntime.tools.convert_onnx_models_to_ort import (  # noqa: PLC0415 - it sets up logging
        OptimizationStyle,
        convert_onnx_models_to_ort,
    )

    style = OptimizationStyle.Fixed if fuse else OptimizationStyle.Runtime
    try:
        with _quiet():
            # No target platform: the blocked layout of x86 would tie the file to it.
            convert_onnx_models_to_ort(
                path, optimization_styles=[style], enable_type_reduction=True
            )
    except Exception as error:
        raise CheckFailed("onnxruntime's converter fails", received=error) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the converter's log of its steps off the user's terminal.

    It also leaves the model that it reads operators from to the garbage collector to close.
    """
    level = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            yield
    finally:
        logging.disable(level)
