"""The engines, what each is installed from, and the file that speaks to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ADAPTERS = Path(__file__).parent / "adapters"


@dataclass(frozen=True)
class Engine:
    """An engine that reads ONNX, or has a converter from it.

    Attributes:
        name: Title of its column, and of its folder.
        package: The package whose version is told.
        requirements: What pip installs into an environment of its own, one call for each.
        adapter: Name of its file in ``adapters``.
    """

    name: str
    package: str
    requirements: tuple[tuple[str, ...], ...]
    adapter: str

    @property
    def adapter_path(self) -> Path:
        """Where its file is."""
        return ADAPTERS / f"{self.adapter}.py"


ENGINES = (
    Engine("ONNX Runtime", "onnxruntime", (("onnxruntime==1.32.0", "numpy"),), "onnx_runtime"),
    Engine(
        "ONNX Runtime, old", "onnxruntime", (("onnxruntime==1.16.3", "numpy<2"),), "onnx_runtime"
    ),
    Engine("OpenVINO", "openvino", (("openvino", "numpy"),), "open_vino"),
    Engine("MNN", "mnn", (("MNN", "numpy"),), "mnn"),
    Engine("OpenCV", "opencv-python-headless", (("opencv-python-headless", "numpy"),), "opencv"),
    Engine("onnx.reference", "onnx", (("onnx", "numpy"),), "reference"),
)
