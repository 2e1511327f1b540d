"""The examples of README.md and docs/, and what becomes of each in the tests."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CONTINUED = re.compile(r"\\\n\s*")

# Blocks in these languages are typed in or written by nobody: what a command prints.
PRINTED = ("text",)
SHELL = ("sh", "console")
# A page and a language that a test of its own runs, or that nothing here can.
ELSEWHERE = {
    ("docs/mobile.md", "python"): "runtime_tests/web/test_mobile_page.py runs it",
    ("docs/mobile.md", "cpp"): "runtime_tests/web/test_mobile_page.py compiles and runs it",
    ("docs/quantization.md", "json"): "runtime_tests/compile/test_max_drop.py gives such a plan",
    ("docs/mobile.md", "kotlin"): "needs Android's SDK",
    ("docs/mobile.md", "java"): "needs a Java build of ONNX Runtime with XNNPACK",
    ("docs/mobile.md", "swift"): "needs Xcode",
}
# Commands of shell blocks that are not run, by how they begin. Their options are parsed all the
# same where they are legoexport's own.
NOT_RUN = {
    "make demo": "takes minutes; .ci/run runs it",
    "make test": "runs these tests",
    "pip install": "changes the environment; `make setup` does the same",
    "torchrun": "trains; runtime_tests/training starts several processes",
    "legoexport train": "trains, on pictures that are not here; runtime_tests/training",
    "legoexport fit": "takes a network and pictures that are not here; runtime_tests/fitting",
    "legoexport convert w.pt": "runs in runtime_tests/commands/test_input_shapes.py",
    "legoexport verify w.pt": "likewise",
    "legoexport sweep": "trains many networks; runtime_tests/sweep",
    "legoexport calibrate": "measures for a minute; runtime_tests/measure",
    "legoexport web": "needs onnxruntime-web, and serves until it is stopped; runtime_tests/web",
    "PYTHONPATH=. python benchmarks/": "measures for minutes",
}


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: Path of the page below the repository.
        line: Where it begins, from 1.
        language: What stands behind the fence.
        text: What is between the fences.
    """

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """What is typed, in a block of a shell: lines joined, without comments."""
        lines = CONTINUED.sub(" ", self.text).splitlines()
        if self.language == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        return [shlex.join(words) for line in lines if (words := shlex.split(line, comments=True))]


def blocks() -> Iterator[Block]:
    """Every fenced block."""
    for page in PAGES:
        text, name = page.read_text(), page.relative_to(ROOT).as_posix()
        for found in FENCED.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(name, line, found[1], found[2])


def calls() -> Iterator[tuple[str, list[str]]]:
    """Every call of legoexport that is shown, fenced or indented: its page, and its arguments."""
    for page in PAGES:
        name, text = page.relative_to(ROOT).as_posix(), page.read_text()
        fenced = [b.commands for b in blocks() if b.page == name and b.language in SHELL]
        indented = CONTINUED.sub(" ", FENCED.sub("", text)).splitlines()
        typed = [line[4:].removeprefix("$ ") for line in indented if line.startswith("    ")]
        for line in [*chain.from_iterable(fenced), *typed]:
            if line.startswith("legoexport "):
                yield name, shlex.split(line, comments=True)[1:]


def reason_not_run(command: str) -> str | None:
    """Why a command of a shell block is not run; None if it is."""
    return next((why for start, why in NOT_RUN.items() if command.startswith(start)), None)
