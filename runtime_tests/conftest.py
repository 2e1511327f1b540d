"""Requirements that not every machine meets: a skip that says why, or a failure where none may be.

``LEGOEXPORT_REQUIRE_RUNTIMES=1``, as ``.ci/run`` sets it, makes a missing runtime a failure.
"""

from __future__ import annotations

import gc
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
def exporter_tables() -> Iterator[None]:
    """Let torch's exporter build its tables of operators once, not for each of hundreds of exports.

    That takes more than half of the time of a small export (torch 2.13), and nothing changes them:
    the product gives the exporter no operators of its own.
    """
    from torch._export import utils  # noqa: PLC0415 - slow
    from torch.onnx._internal.exporter._registration import ONNXRegistry  # noqa: PLC0415 - slow

    build = cache(ONNXRegistry.from_torchlib)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(build))
        patch.setattr(utils, "_materialize_cpp_cia_ops", cache(utils._materialize_cpp_cia_ops))
        yield


@pytest.fixture(scope="session", autouse=True)
def shared_exports() -> Iterator[None]:
    """Export equal networks once; see ``shared_exports.py``."""
    from legoexport.compile.export import export  # noqa: PLC0415 - slow
    from runtime_tests.shared_exports import SharedExports  # noqa: PLC0415 - slow

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("legoexport.compile.emit.export", SharedExports(export))
        yield


@pytest.fixture
def own_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Export each network again, where a test is about what two exports give."""
    from legoexport.compile.export import export  # noqa: PLC0415 - slow

    monkeypatch.setattr("legoexport.compile.emit.export", export)


@pytest.fixture(scope="session", autouse=True)
def lasting_modules(exporter_tables: None, shared_exports: None) -> Iterator[None]:
    """Spare the garbage collector what torch holds from its import on, a million objects.

    Going through them again and again takes a tenth of the time of an export.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    yield
    gc.unfreeze()


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
