"""Requirements that not every machine meets: a skip that says why, or a failure where none may be.

``LEGOEXPORT_REQUIRE_RUNTIMES=1``, as ``.ci/run`` sets it, makes a missing runtime a failure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from typing import NoReturn

import pytest

from legoexport.errors import UsageError
from legoexport.runtimes import find_runtimes
from legoexport.runtimes.each import NeedsPreparation
from legoexport.runtimes.web.install import installed
from legoexport.runtimes.web.node import find_node, node_version

REQUIRE = "LEGOEXPORT_REQUIRE_RUNTIMES"


def missing(problem: object) -> NoReturn:
    """Skip, or fail, whatever asked for what is missing."""
    first, *details = (line.strip() for line in str(problem).splitlines())
    reason = f"{first} ({'; '.join(details)})" if details else first
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{REQUIRE}=1, but {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def exporter_table() -> Iterator[None]:
    """Let torch's exporter build its table of operators once, not for each of hundreds of exports.

    It takes more than half of the time of a small export (torch 2.13), and nothing changes it: the
    product gives the exporter no operators of its own.
    """
    from torch.onnx._internal.exporter._registration import ONNXRegistry  # noqa: PLC0415 - slow

    build = cache(ONNXRegistry.from_torchlib)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(build))
        yield


@pytest.fixture(scope="session")
def needs_node() -> None:
    """Node is there, and so is onnxruntime-web, installed by the first test that asks."""
    try:
        node_version(find_node())
        installed()
    except UsageError as error:
        missing(error)


@pytest.fixture(scope="session")
def needs_arm64() -> None:
    """qemu is there, and so is the arm64 ONNX Runtime, fetched by the first test that asks."""
    try:
        for runtime in find_runtimes("arm64"):
            assert isinstance(runtime, NeedsPreparation)
            runtime.prepare(lambda _: None)
    except UsageError as error:
        missing(error)
