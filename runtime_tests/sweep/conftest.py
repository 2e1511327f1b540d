"""Pictures that are learned in no time, and sweeps without any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from legoexport.sweep import run
from runtime_tests.sweep.workshop import Workshop


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "pictures.npz"
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 10
    images = rng.standard_normal((60, 1, 8, 8)).astype(np.float32) + labels[:, None, None, None]
    np.savez(
        path,
        train_images=images,
        train_labels=labels,
        test_images=images[:20],
        test_labels=labels[:20],
    )
    return path


@pytest.fixture
def workshop(monkeypatch: pytest.MonkeyPatch) -> Workshop:
    workshop = Workshop()
    monkeypatch.setattr(run, "train_cell", workshop.train)
    monkeypatch.setattr(run, "convert_variant", workshop.convert)
    monkeypatch.setattr(run, "time_variant", workshop.time)
    return workshop
