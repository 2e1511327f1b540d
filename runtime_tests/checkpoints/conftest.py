import resource
import sys
from collections.abc import Iterator

import psutil
import pytest

GIBIBYTE = 2**30


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Let the process grow by no more than a gibibyte, where the system can hold it to that."""
    if sys.platform != "linux":
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit_bytes = psutil.Process().memory_info().vms + GIBIBYTE
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
