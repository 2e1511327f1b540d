"""The cache is where the system keeps such things, or where the user wants it."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix

from legoexport.host.cache import cache_folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return tmp_path


@pytest.mark.parametrize(("system", "folder"), [(Unix, ".cache"), (MacOS, "Library/Caches")])
def test_the_cache_is_where_the_system_keeps_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, system: type, folder: str
) -> None:
    monkeypatch.setattr(platformdirs, "PlatformDirs", system)
    assert cache_folder("made") == home / folder / "legoexport" / "made"


@pytest.mark.parametrize("system", [Unix, MacOS])
def test_the_user_moves_the_cache(
    home: Path, monkeypatch: pytest.MonkeyPatch, system: type
) -> None:
    monkeypatch.setattr(platformdirs, "PlatformDirs", system)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "mine"))
    assert cache_folder("made") == home / "mine" / "legoexport" / "made"
