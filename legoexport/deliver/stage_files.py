"""Write the model after each stage of the compiler, to look at."""

from __future__ import annotations

from pathlib import Path

from legoexport.compile.stages import Observer, Stage
from legoexport.host import atomic
from legoexport.host.staging import make_folder


def stage_writer(folder: Path) -> Observer:
    """Return an observer that writes each stage to ``folder/NN_name.onnx``."""
    make_folder(folder)
    count = 0

    def observe(stage: Stage) -> None:
        nonlocal count
        path = folder / f"{count:02d}_{stage.name}.onnx"
        atomic.write_bytes(path, stage.model.SerializeToString(deterministic=True))
        count += 1

    return observe
