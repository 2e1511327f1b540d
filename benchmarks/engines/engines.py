"""The engines, what each is installed from, and the file that speaks to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ADAPTERS = Path(__file__).parent / "adapters"
# First and by itself: a CPU build that pip's configuration offers then wins over a larger one.
TORCH, TORCHVISION = "torch==2.13.0", "torchvision==0.28.0"
ONNX = "onnx==1.23.2"


@dataclass(frozen=True)
class Engine:
    """An engine that reads ONNX, or has a converter from it.

    Attributes:
        name: Title of its row.
        adapter: Name of its file in ``adapters``.
        requirements: What pip installs into its environment, one call for each.
        target: The target whose files are timed in it, of those measured the one whose files were
            slower than their dense twins the least often; None if it is not made to be fast.
        npm: What npm installs there.
        shares: Name of an engine whose environment it shares.
        networks: Names of the networks that it is given; all if there are none.
    """

    name: str
    adapter: str
    requirements: tuple[tuple[str, ...], ...]
    target: str | None = "cpu"
    npm: tuple[str, ...] = ()
    shares: str = ""
    networks: tuple[str, ...] = ()

    def takes(self, network: str) -> bool:
        """Whether it is given the files of this network."""
        return not self.networks or network in self.networks

    @property
    def adapter_path(self) -> Path:
        """Where its file is."""
        return ADAPTERS / f"{self.adapter}.py"

    @property
    def folder_name(self) -> str:
        """Name of the folder of its environment, if it has one of its own."""
        return self.name.replace(" ", "-").replace(",", "")


ENGINES = (
    Engine("ONNX Runtime", "onnx_runtime", (("onnxruntime==1.32.0", "numpy"),)),
    Engine("ONNX Runtime, old", "onnx_runtime", (("onnxruntime==1.16.3", "numpy<2"),)),
    Engine(
        "ONNX Runtime, Node.js",
        "onnx_runtime_node",
        (("numpy",),),
        npm=("onnxruntime-node@1.30.0",),
    ),
    Engine("OpenVINO", "open_vino", (("openvino==2026.4.1", "numpy"),), target="coreml"),
    Engine("MNN", "mnn", (("MNN==3.6.1", "numpy"),), target="coreml"),
    Engine(
        "ncnn",
        "ncnn",
        ((TORCH,), ("ncnn==1.0.20261020", "pnnx==20261020", "numpy")),
        target="coreml",
    ),
    Engine("OpenCV", "opencv", (("opencv-python-headless==5.0.0.93", "numpy"),)),
    Engine("OpenCV, classic", "opencv_classic", (), shares="OpenCV"),
    Engine("tract", "tract", (("tract==0.23.9", "numpy"),), target="coreml"),
    Engine("TVM", "tvm", (("apache-tvm==0.27.0.post1", ONNX, "numpy"),)),
    Engine(
        "LiteRT",
        "lite_rt",
        (("onnx2tf==1.29.24", "ai-edge-litert==2.1.0", "numpy<2"),),
        # Its converter takes five minutes for the dense VGG16@32.
        networks=("digits", "MobileNet@32"),
        target="coreml",
    ),
    Engine(
        "onnx2torch",
        "onnx_to_torch",
        (
            (TORCH, TORCHVISION),
            ("onnx2torch==1.5.15", "onnx==1.19.1", "onnxsim==0.4.36", "numpy", "setuptools"),
        ),
        target=None,
    ),
    Engine(
        "onnx2torch after onnxsim",
        "onnx_to_torch_folded",
        (),
        shares="onnx2torch",
        target="coreml",
    ),
    Engine("onnx.reference", "reference", ((ONNX, "numpy"),), target=None),
)
