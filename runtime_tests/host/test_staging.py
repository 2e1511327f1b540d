"""A staged folder is there whole, or what was there before is."""

from __future__ import annotations

from pathlib import Path

import pytest

from legoexport.errors import UsageError
from legoexport.host.staging import make_folder, staged_folder


def fill(folder: Path, text: str) -> None:
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text(text)


def content(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


@pytest.mark.parametrize("before", [None, "empty", "full"])
def test_the_folder_appears_in_one_step(tmp_path: Path, before: str | None) -> None:
    folder = tmp_path / "made"
    if before:
        folder.mkdir()
    if before == "full":
        fill(folder, "old")
    there = content(tmp_path)
    with staged_folder(folder) as staged:
        fill(staged, "new")
        assert content(folder) == {name.removeprefix("made/"): text for name, text in there.items()}
    assert content(tmp_path) == {"made/deep/file": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def fill_and_fail(folder: Path, error: Exception) -> None:
    with staged_folder(folder) as staged:
        fill(staged, "half")
        raise error


@pytest.mark.parametrize("error", [ValueError("a bug"), OSError(28, "No space left on device")])
def test_what_fails_leaves_no_trace(tmp_path: Path, error: Exception) -> None:
    folder = tmp_path / "made"
    fill(folder, "old")
    expected = UsageError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected, match=r"No space left|a bug"):
        fill_and_fail(folder, error)
    assert content(tmp_path) == {"made/deep/file": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_replacement_that_fails_puts_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "made"
    fill(folder, "old")
    replace = Path.replace

    def stubborn(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(16, "Device or resource busy")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stubborn)
    with pytest.raises(UsageError, match="busy"), staged_folder(folder) as staged:
        fill(staged, "new")
    assert content(tmp_path) == {"made/deep/file": "old"}


def test_what_another_process_made_meanwhile_stays(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    with staged_folder(folder, is_whole=Path.is_dir) as staged:
        fill(staged, "ours")
        fill(folder, "theirs")
    assert content(tmp_path) == {"made/deep/file": "theirs"}


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot make the folder"):
        make_folder(tmp_path / "file" / "b")


def test_links_in_a_circle_are_told(tmp_path: Path) -> None:
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    with pytest.raises(UsageError, match="leads to itself"), staged_folder(circle):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["circle"]
