import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

GIBIBYTE = 2**30


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Let the process grow by no more than a gibibyte, where the system can hold it to that."""
    if sys.platform != "linux":
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + GIBIBYTE, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
