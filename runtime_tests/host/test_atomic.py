"""A file is written whole or not at all, whatever is in the way and whoever is killed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from legoexport.errors import UsageError
from legoexport.host.atomic import SUFFIX, write_bytes, writing

WRITE_SLOWLY = """
import sys, time
from pathlib import Path
from legoexport.host.atomic import writing
with writing(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    print("half", flush=True)
    time.sleep(60)
"""


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.endswith(SUFFIX))


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "m.onnx", tmp_path / "link.onnx"
    link.symlink_to(target)
    for content in (b"made through a dangling link", b"replaced"):
        write_bytes(link, content)
        assert link.is_symlink()
        assert target.read_bytes() == content


def test_a_fifo_is_no_place_for_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match="received: a FIFO"):
        write_bytes(tmp_path / "fifo", b"x")
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)


def test_permissions_stay_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write_bytes(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("name", ["m.onnx", "ünïcode [1]*?.onnx", "n" * 250])
def test_a_killed_writer_leaves_the_old_file_and_the_next_one_tidies_up(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    write_bytes(path, b"old")
    command = [sys.executable, "-c", WRITE_SLOWLY, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        write_bytes(tmp_path / "other", b"another file tidies up nothing of this one")
        assert len(left_in(tmp_path)) == 1
        process.send_signal(signal.SIGKILL)
    assert path.read_bytes() == b"old"
    assert len(left_in(tmp_path)) == 1
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert left_in(tmp_path) == []


def test_a_writer_at_work_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with writing(path) as slower:
        slower.write_bytes(b"slower")
        write_bytes(path, b"faster")
        assert path.read_bytes() == b"faster"
    assert path.read_bytes() == b"slower"


def test_a_failed_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    write_bytes(path, b"old")
    with pytest.raises(TypeError), writing(path) as temporary:
        temporary.write_bytes(b"half" + None)  # type: ignore[operator]
    assert path.read_bytes() == b"old"
    assert left_in(tmp_path) == []
