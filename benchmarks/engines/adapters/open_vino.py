"""OpenVINO, as the benchmarks of whole networks run it."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from benchmarks.workers.openvino import create_session

# Without the commit that it was built from.
VERSION = openvino.get_version().split("-")[0]


class Session:
    """Runs a file that OpenVINO reads itself."""

    def __init__(self, path: str, shape: tuple[int, ...]) -> None:
        self._session = create_session(path, 1, shape)

    def run(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Return the scores."""
        return self._session.run(None, {"images": x})[0]
