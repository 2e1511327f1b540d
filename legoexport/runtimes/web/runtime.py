"""A model in onnxruntime-web: run on images for a check, or started to be measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import CheckFailed, UsageError
from legoexport.ort.client import Client, start_worker
from legoexport.ort.nodes import read_nodes
from legoexport.runtimes import refuse_variant
from legoexport.runtimes.base import Engine, Feed, PlacedNode, Replay, Values, join_values
from legoexport.runtimes.web.accept import check_model
from legoexport.runtimes.web.install import VERSION, installed
from legoexport.runtimes.web.node import find_node, node_version
from legoexport.signals import temporary_folder

DRIVER = Path(__file__).with_name("driver.mjs")
# Of what a file gives: numbers, and integers that are exposed.
LITTLE_ENDIAN = {"float32": "<f4", "uint8": "u1", "int8": "i1"}
PROFILED_RUNS_COUNT = 1
NEXT_STEP = "convert an int8 file for XNNPACK with --target xnnpack"


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
                values = [_values(client, folder, feed) for feed in feeds]
                placement = _placement(client, folder)
        self._check_placement(placement)
        return Replay.of(
            values,
            feeds,
            placement,
            f"{self.name} of {words}",
            rounding_growth=self.rounding_growth,
        )

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
            received = f"all of them on {', '.join(ran_on)}"
            raise CheckFailed(problem, received=received, next_step=NEXT_STEP)

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


def _values(client: Client, folder: Path, feed: Feed) -> Values:
    return join_values([_run_batch(client, folder, batch) for batch in feed.batches])


def _run_batch(client: Client, folder: Path, batch: NDArray[Any]) -> Values:
    source, dtype = folder / "images.bin", str(batch.dtype)
    source.write_bytes(batch.astype(LITTLE_ENDIAN[dtype]).tobytes())
    given = {"source": str(source), "type": dtype, "shape": batch.shape}
    done = client.ask("run", **given, folder=str(folder))
    return {one["name"]: _read(one) for one in done["outputs"]}


def _read(output: Mapping[str, Any]) -> NDArray[Any]:
    """Return one output that the driver wrote.

    Raises:
        CheckFailed: It is of a type that no converted file gives.
    """
    if output["type"] not in LITTLE_ENDIAN:
        legal = " ".join(LITTLE_ENDIAN)
        raise CheckFailed(f"output {output['name']}", received=output["type"], legal=legal)
    file = Path(output["file"])
    values = np.frombuffer(file.read_bytes(), LITTLE_ENDIAN[output["type"]])
    file.unlink()  # a later run that writes nothing must not leave this one's to be read
    return values.reshape(output["shape"]).astype(output["type"])


def _placement(client: Client, folder: Path) -> tuple[PlacedNode, ...]:
    done = client.ask("profile", folder=str(folder), runs_count=PROFILED_RUNS_COUNT)
    nodes = read_nodes(Path(done["profile"]))
    return tuple(PlacedNode(node.name, node.op, node.provider) for node in nodes)
