"""The ONNX Runtime of this process, by the same protocol as the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnxruntime

from legoexport.ort.session import RuntimeModel
from legoexport.runtimes import refuse_variant
from legoexport.runtimes.base import Feed, Replay


@dataclass(frozen=True)
class CpuRuntime:
    """ONNX Runtime's CPU provider, here.

    Attributes:
        threads: Intra-op threads.
    """

    threads: int
    name: str = "cpu"

    def run(self, model_bytes: bytes, feeds: Sequence[Feed]) -> Replay:
        """Run the model on every feed, as ``Runtime.run`` says; placement is left out."""
        model = RuntimeModel(model_bytes, self.threads)
        values = [model.run_all((feed.images,), feed.batch_size) for feed in feeds]
        return Replay.of(values, feeds, (), f"onnxruntime {onnxruntime.__version__}, CPU")


def make(variant: str | None, threads: int) -> CpuRuntime:
    """Return the runtime; it has no variants."""
    refuse_variant("cpu", variant)
    return CpuRuntime(threads)
