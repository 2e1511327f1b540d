"""Holds the rules of docs/design.md by reading the imports of every file."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from legoexport.cli import COMMANDS
from legoexport.passes.lowerings import LOWERINGS

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {"legoexport": "legoexport", "passes": "legoexport.passes", "models": "legoexport.models"}
LONGEST_FILE_LINES = 250
PASS_LIBRARIES = {"legoexport", "numpy", "onnx", "onnx_ir", "onnxsim"}
FOUNDATION = {"legoexport.errors", "legoexport.lego.frozen", "legoexport.target"}


@dataclass(frozen=True)
class Import:
    """One imported module, and whether importing the file is enough to load it."""

    module: str
    eager: bool


@cache
def modules() -> dict[str, Path]:
    """Every module of the product by its dotted name."""
    found = {}
    for folder, package in ROOMS.items():
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            if folder == "legoexport" and parts[0] in ("passes", "models"):
                continue
            found[".".join([package, *parts]).removesuffix(".__init__")] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(name: str) -> set[Import]:
    return set(_imports(tree(modules()[name]), eager=True))


def _imports(node: ast.AST, *, eager: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, eager) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative import"
            module = child.module or ""
            members = [f"{module}.{alias.name}" for alias in child.names]
            yield from (Import(m if m in modules() else module, eager) for m in members)
        else:
            yield from _imports(child, eager=eager and not _is_deferred(child))


def _is_deferred(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return ast.unparse(node.test).endswith("TYPE_CHECKING")
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))


def loaded_with(name: str) -> set[str]:
    """Every module that importing ``name`` loads, ours followed all the way."""
    seen: set[str] = set()
    queue = [name]
    while queue:
        module = queue.pop()
        parents = module.split(".")
        chain = {".".join(parents[: length + 1]) for length in range(len(parents))}
        for found in chain - seen:
            seen.add(found)
            if found in modules():
                queue += [i.module for i in imports(found) if i.eager]
    return seen


def inside(package: str) -> list[str]:
    return sorted(m for m in modules() if m == package or m.startswith(f"{package}."))


def ours(name: str) -> set[str]:
    return {i.module for i in imports(name) if i.module.split(".")[0] == "legoexport"}


def outsiders(name: str, packages: set[str]) -> set[str]:
    """Modules of ours that ``name`` imports from none of ``packages``."""
    return {m for m in ours(name) if not any(m == p or m.startswith(f"{p}.") for p in packages)}


@pytest.mark.parametrize("name", inside("legoexport.passes"))
def test_passes_build_on_the_foundation_and_never_on_torch(name: str) -> None:
    libraries = {i.module.split(".")[0] for i in imports(name)} - sys.stdlib_module_names
    assert libraries <= PASS_LIBRARIES
    assert not outsiders(name, FOUNDATION | {"legoexport.passes"})


@pytest.mark.parametrize("name", inside("legoexport.models"))
def test_models_build_on_errors_and_frozen(name: str) -> None:
    assert not outsiders(name, {"legoexport.errors", "legoexport.lego.frozen", "legoexport.models"})


@pytest.mark.parametrize("name", sorted(FOUNDATION))
def test_the_foundation_stands_by_itself(name: str) -> None:
    assert ours(name) <= {"legoexport.errors"} - {name}


@pytest.mark.parametrize("name", sorted(modules()))
def test_only_the_command_line_imports_commands(name: str) -> None:
    callers = ("legoexport.cli", "legoexport.commands", "legoexport.__main__")
    imported = {m for m in ours(name) if m.startswith("legoexport.commands")}
    assert not imported or name.startswith(callers)


@pytest.mark.parametrize(
    "name",
    [
        "legoexport",
        "legoexport.passes",
        *inside("legoexport.measure"),
        *inside("legoexport.runtimes"),
        "legoexport.cli",
        "legoexport.inspect.inventory_onnx",
        *(f"legoexport.commands.{name}" for name in COMMANDS),
    ],
)
def test_what_needs_no_torch_does_not_load_it(name: str) -> None:
    assert "torch" not in loaded_with(name)


def test_bench_never_asks_for_torch() -> None:
    for name in inside("legoexport.measure"):
        assert "torch" not in {i.module.split(".")[0] for i in imports(name)}, name


def test_import_legoexport_leaves_torch_alone() -> None:
    check = "import sys, legoexport; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@pytest.mark.parametrize(
    "path", sorted({*modules().values(), *(ROOT / "runtime_tests").rglob("*.py")}), ids=str
)
def test_every_file_is_short_and_avoids_top_level_rooms(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_FILE_LINES
    roots = {i.module.split(".")[0] for i in _imports(tree(path), eager=True)}
    assert not roots & {"passes", "models"}


def pass_classes(path: Path) -> list[ast.ClassDef]:
    classes = [node for node in tree(path).body if isinstance(node, ast.ClassDef)]
    return [c for c in classes if any(ast.unparse(base).endswith("Pass") for base in c.bases)]


PASS_FILES = sorted(path for path in (ROOT / "passes").glob("*.py") if pass_classes(path))


@pytest.mark.parametrize("path", PASS_FILES, ids=lambda path: path.stem)
def test_a_pass_is_one_file_named_verb_object(path: Path) -> None:
    (the_pass,) = pass_classes(path)
    words = path.stem.split("_")
    assert len(words) >= 2
    assert the_pass.name == "".join(word.capitalize() for word in words)
    assert "call" in {node.name for node in the_pass.body if isinstance(node, ast.FunctionDef)}
    docstring = ast.get_docstring(tree(path)) or ""
    assert len(docstring.split()) >= 20, "say what is rewritten, into what, and why"


def test_there_are_passes_to_hold() -> None:
    assert {"fold_batch_norm", "lower_lego", "simplify_graph"} <= {p.stem for p in PASS_FILES}


def test_every_lowering_file_is_registered() -> None:
    built = set()
    for path in (ROOT / "passes" / "lowerings").glob("*.py"):
        for node in tree(path).body:
            members = node.body if isinstance(node, ast.ClassDef) else []
            methods = {m.name for m in members if isinstance(m, ast.FunctionDef)}
            if "build" in methods and path.stem != "base":
                built.add(path.stem)
    assert built == set(LOWERINGS)
