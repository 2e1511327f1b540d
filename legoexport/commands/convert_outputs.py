"""Everything that ``legoexport convert`` writes, and where each part may go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from legoexport.commands.convert_options import BUILT_IN_NAME
from legoexport.errors import UsageError
from legoexport.host.kinds import Kind
from legoexport.host.outputs import Output, is_standard_output, real_path
from legoexport.signals import temporary_folder

STAGE_NAME = re.compile(r"\d\d_\w+\.onnx")


def outputs(
    out: Path,
    save_plan: Path | None,
    dense_twin: Path | None,
    save_stages: Path | None,
    *,
    as_ort: bool,
) -> list[Output]:
    """Return the files and the folder that the options name, with what ORT format puts beside.

    Raises:
        UsageError: The folder of ``--save-stages`` holds something else, or is to hold it.
    """
    kind = Kind.ORT if as_ort else Kind.ONNX
    files = [Output("--out", out, kind, streams=not as_ort)]
    if as_ort:
        from legoexport.deliver.ort_format import config_path

        files.append(Output("the configuration beside --out,", config_path(out), Kind.TEXT))
    if dense_twin:
        files.append(Output("--dense-twin", dense_twin, Kind.ONNX))
    if save_plan:
        files.append(Output("--save-plan", save_plan, Kind.JSON))
    if save_stages:
        _check_stages(save_stages, files)
        files.append(Output("--save-stages", save_stages, None))
    return files


def machine_file(machine: str | None) -> Path | None:
    """Return the file that ``--machine`` names, if it names one."""
    return None if machine in (None, BUILT_IN_NAME) else Path(str(machine))


@contextmanager
def readable(out: Path, model_bytes: bytes) -> Iterator[Path]:
    """Give a file to load: ``out``, or for standard output a copy that is gone after the block."""
    if not is_standard_output(out):
        yield out
        return
    with temporary_folder() as folder:
        copy = folder / "model.onnx"
        copy.write_bytes(model_bytes)
        yield copy


def _check_stages(folder: Path, files: list[Output]) -> None:
    strangers = {one.name for one in folder.iterdir()} if folder.is_dir() else set()
    strangers |= {one.path.name for one in files if real_path(one.path).parent == real_path(folder)}
    if others := sorted(name for name in strangers if not STAGE_NAME.fullmatch(name)):
        raise UsageError(
            f"--save-stages {folder} holds something else",
            received=others[0],
            legal="a new or empty folder, or one with stages of an earlier conversion",
            next_step="choose another folder",
        )
