"""A model in onnxruntime-web: run on images for a check, or started to be measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import CheckFailed, UsageError
from legoexport.ort.client import Client, start_worker
from legoexport.ort.nodes import read_nodes
from legoexport.runtimes import refuse_variant
from legoexport.runtimes.base import Engine, Feed, PlacedNode, Replay, join_batches
from legoexport.runtimes.web.accept import check_model
from legoexport.runtimes.web.install import VERSION, installed
from legoexport.runtimes.web.node import find_node, node_version
from legoexport.signals import temporary_folder

DRIVER = Path(__file__).with_name("driver.mjs")
LITTLE_ENDIAN_FLOAT32 = "<f4"
PROFILED_RUNS_COUNT = 1


@dataclass(frozen=True)
class WebRuntime:
    """onnxruntime-web in Node, on one thread.

    Attributes:
        name: ``wasm`` or ``xnnpack``, which is also what onnxruntime-web calls the provider.
        provider: ONNX Runtime's name of that execution provider.
        rounding_growth: As in ``Replay``.
    """

    name: str
    provider: str
    rounding_growth: float

    def run(self, model_bytes: bytes, feeds: Sequence[Feed]) -> Replay:
        """Run the model on every feed, as ``Runtime.run`` says.

        Raises:
            UsageError: Node is missing, or onnxruntime-web does not take the model.
            CheckFailed: It stops with an error, or runs nothing on the provider.
        """
        check_model(model_bytes, "the model")
        command, words = self._command(), self._words()
        with temporary_folder() as folder:
            path = folder / "model.onnx"
            path.write_bytes(model_bytes)
            with start_worker(path, command) as client:
                client.load(provider=self.name)
                outputs = tuple(_outputs(client, folder, feed) for feed in feeds)
                placement = _placement(client, folder)
        self._check_placement(placement)
        return Replay(outputs, placement, f"{self.name} of {words}", self.rounding_growth)

    def engine(self, path: Path) -> Engine:
        """Return what it takes to measure the model at ``path``, as ``Timed.engine`` says.

        Raises:
            UsageError: Node is missing, or onnxruntime-web does not take the model.
        """
        inputs = check_model(path.read_bytes(), str(path))
        return Engine(self._command(), self.name, self.provider, self._words(), inputs)

    def _check_placement(self, placement: Sequence[PlacedNode]) -> None:
        # ONNX Runtime silently falls back to its CPU provider.
        if not any(node.provider == self.provider for node in placement):
            ran_on = sorted({node.provider for node in placement})
            problem = f"no node of the model runs on {self.provider}"
            raise CheckFailed(problem, received=f"all of them on {', '.join(ran_on)}")

    def _command(self) -> tuple[str, ...]:
        return find_node(), str(DRIVER), str(installed())

    def _words(self) -> str:
        return f"onnxruntime-web {VERSION} in Node {node_version(find_node())}"


def check_plain(name: str, variant: str | None, threads: int) -> None:
    """Check that no variant and no further threads were asked for.

    Raises:
        UsageError: A variant or several threads were asked for.
    """
    refuse_variant(name, variant)
    if threads != 1:
        raise UsageError(f"runtime {name} has one thread", received=f"--threads {threads}", legal=1)


def _outputs(client: Client, folder: Path, feed: Feed) -> NDArray[np.float32]:
    return join_batches([_run_batch(client, folder, batch) for batch in feed.batches], feed)


def _run_batch(client: Client, folder: Path, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    source, result = folder / "images.bin", folder / "output.bin"
    source.write_bytes(batch.astype(LITTLE_ENDIAN_FLOAT32).tobytes())
    done = client.ask("run", source=str(source), shape=batch.shape, result=str(result))
    values = np.frombuffer(result.read_bytes(), LITTLE_ENDIAN_FLOAT32)
    result.unlink()  # a later run that writes nothing must not leave this one's to be read
    return values.reshape(done["shape"]).astype(np.float32)


def _placement(client: Client, folder: Path) -> tuple[PlacedNode, ...]:
    done = client.ask("profile", folder=str(folder), runs_count=PROFILED_RUNS_COUNT)
    nodes = read_nodes(Path(done["profile"]))
    return tuple(PlacedNode(node.name, node.op, node.provider) for node in nodes)
