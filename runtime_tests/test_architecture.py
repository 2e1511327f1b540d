"""Holds the rules of docs/design.md by reading the imports of every file."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from legoexport.cli import COMMANDS
from legoexport.passes.lowerings import INT8_LOWERINGS, LOWERINGS

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {"legoexport": "legoexport", "passes": "legoexport.passes", "models": "legoexport.models"}
LONGEST_FILE_LINES = 250
PASS_LIBRARIES = {"legoexport", "numpy", "onnx", "onnx_ir", "onnxsim"}
# The house from the ground up, as docs/design.md draws it. A room is a folder, or a file that
# stands by itself; it may import the rooms of lower floors, and none of its own floor.
FLOORS = (
    ("errors", "version", "operators", "signals"),
    ("lego", "host", "ort", "target"),
    ("passes", "models", "runtimes", "doctor"),
    ("compile", "measure", "training"),
    ("parity", "tune", "inspect", "classify"),
    ("quantize",),
    ("deliver", "web"),
    ("sweep", "report"),
    ("commands",),
    ("cli", "demo"),
    ("__main__", "facade"),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# Whatever measures or reads a file on a machine without torch.
NEVER_TORCH = {"errors", "version", "operators", "lego", "host", "ort", "target", "passes"}
NEVER_TORCH |= {"signals", "runtimes", "doctor", "measure", "classify"}


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


def room_of(name: str) -> str:
    """The folder below ``legoexport`` that a module is in, or the file itself."""
    _, *parts = name.split(".")
    return parts[0] if parts else "facade"


def libraries(name: str) -> set[str]:
    """Top-level names of the foreign packages that a module imports, now or later."""
    return {i.module.split(".")[0] for i in imports(name)} - sys.stdlib_module_names


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """A chain of modules that ends where it starts; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("name", sorted(modules()))
def test_every_module_is_in_a_room_and_imports_downstairs(name: str) -> None:
    own = room_of(name)
    assert own in FLOOR_OF, f"{own} is on no floor: give it one here and in docs/design.md"
    upstairs = {
        module
        for module in ours(name)
        if room_of(module) != own and FLOOR_OF[room_of(module)] >= FLOOR_OF[own]
    }
    assert not upstairs


def test_every_room_of_the_plan_is_there() -> None:
    assert {room_of(name) for name in modules()} == set(FLOOR_OF)


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: (ours(name) & modules().keys()) - {name} for name in modules()}
    assert circle_in(graph) == []


def test_a_circle_is_found() -> None:
    assert set(circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == {"b", "c"}


def test_the_design_document_draws_the_same_floors() -> None:
    page = (ROOT / "docs" / "design.md").read_text()
    block = page.split("<!-- floors -->")[1]
    drawn = [
        tuple(room.strip("` /") for room in line.split("|")[2].split(","))
        for line in block.splitlines()
        if line.startswith("| ") and line.split("|")[1].strip().isdecimal()
    ]
    assert [set(rooms) for rooms in reversed(drawn)] == [set(rooms) for rooms in FLOORS]


@pytest.mark.parametrize("name", sorted(m for m in modules() if room_of(m) in NEVER_TORCH))
def test_rooms_without_torch_never_name_it(name: str) -> None:
    assert "torch" not in libraries(name)


@pytest.mark.parametrize("name", inside("legoexport.passes"))
def test_passes_use_the_libraries_of_graphs_only(name: str) -> None:
    assert libraries(name) <= PASS_LIBRARIES


@pytest.mark.parametrize(
    "name",
    [
        "legoexport",
        "legoexport.passes",
        *inside("legoexport.measure"),
        *inside("legoexport.runtimes"),
        *inside("legoexport.classify"),
        "legoexport.cli",
        "legoexport.inspect.inventory_onnx",
        *(f"legoexport.commands.{name}" for name in COMMANDS),
    ],
)
def test_what_needs_no_torch_does_not_load_it(name: str) -> None:
    assert "torch" not in loaded_with(name)


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


def test_every_lowering_class_is_registered() -> None:
    built = set()
    for path in (ROOT / "passes" / "lowerings").rglob("*.py"):
        for node in tree(path).body:
            members = node.body if isinstance(node, ast.ClassDef) else []
            methods = {m.name for m in members if isinstance(m, ast.FunctionDef)}
            if "build" in methods and path.stem != "base":
                built.add(ast.unparse(node).split("class ")[1].split(":")[0])
    registered = (*LOWERINGS.values(), *INT8_LOWERINGS.values())
    assert built == {type(lowering).__name__ for lowering in registered}
