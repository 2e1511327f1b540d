"""What ``from legoexport import ...`` offers: every name is there, typed, and lazy."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import legoexport

SOURCE = ast.parse(Path(legoexport.__file__).read_text())


def typed_names() -> dict[str, str]:
    """What type checkers see: the module of each name imported under ``TYPE_CHECKING``."""
    (guarded,) = [node for node in SOURCE.body if isinstance(node, ast.If)]
    imports = [node for node in guarded.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def literal_all() -> list[str]:
    assigned = [node for node in SOURCE.body if isinstance(node, ast.Assign)]
    (listed,) = [node.value for node in assigned if ast.unparse(node.targets[0]) == "__all__"]
    return list(ast.literal_eval(listed))


def test_type_checkers_see_the_names_that_there_are() -> None:
    assert literal_all() == legoexport.__all__
    assert typed_names().keys() | {"__version__"} == set(legoexport.__all__)


@pytest.mark.parametrize("name", sorted(typed_names()))
def test_a_name_is_what_type_checkers_take_it_for(name: str) -> None:
    found = getattr(legoexport, name)
    assert found is getattr(importlib.import_module(typed_names()[name]), name)
    assert callable(found)
    assert found.__doc__


def test_no_name_is_hidden_by_a_submodule() -> None:
    submodules = {found.name for found in pkgutil.iter_modules(legoexport.__path__)}
    assert {"compile", "passes", "models", "errors"} <= submodules
    assert not submodules & set(legoexport.__all__)


def test_the_names_are_listed_and_no_other_is_made_up() -> None:
    assert set(legoexport.__all__) <= set(dir(legoexport))
    with pytest.raises(AttributeError, match="'legoexport' has no attribute 'frieze'"):
        legoexport.frieze  # noqa: B018


@pytest.mark.parametrize("name", ["UsageError", "Target", "find_target", "__version__"])
def test_what_needs_no_torch_loads_none(name: str) -> None:
    program = f"import sys; from legoexport import {name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
