"""Examples of the documentation: none is left out by accident, and options that are shown exist."""

from __future__ import annotations

import click
import pytest

import legoexport
from legoexport.cli import COMMANDS, group
from runtime_tests.docs.pages import (
    ELSEWHERE,
    NOT_RUN,
    PRINTED,
    ROOT,
    SHELL,
    Block,
    blocks,
    calls,
    reason_not_run,
)

SHOWN = list(calls())


def test_there_are_pages_with_examples() -> None:
    assert {"README.md", "docs/quickstart.md"} <= {block.page for block in blocks()}


@pytest.mark.parametrize("block", list(blocks()), ids=str)
def test_a_block_is_run_or_says_why_not(block: Block) -> None:
    known = (
        block.language in ("python", *SHELL, *PRINTED) or (block.page, block.language) in ELSEWHERE
    )
    assert known, "run it in test_examples.py, or give the reason in pages.py"


def test_no_reason_outlives_its_example() -> None:
    there = {(block.page, block.language) for block in blocks()}
    assert set(ELSEWHERE) <= there
    typed = [c for b in blocks() if b.language in SHELL for c in b.commands]
    unused = [start for start in NOT_RUN if not any(c.startswith(start) for c in typed)]
    assert unused == []


@pytest.mark.parametrize(("page", "words"), SHOWN)
def test_a_command_that_is_shown_is_one(page: str, words: list[str]) -> None:
    """Parsed, not run: the command is there, and so are its options and choices."""
    name, *arguments = words
    assert name in COMMANDS, page
    if "..." in arguments:
        return
    command = group.get_command(click.Context(group), name)
    assert command is not None
    command.make_context(name, arguments)


def test_commands_are_found_in_fences_and_indented() -> None:
    assert {"README.md", "docs/fit.md", "docs/lowerings.md"} <= {page for page, _ in SHOWN}


def test_what_is_run_of_readme_is_more_than_nothing() -> None:
    (shown,) = [
        block.commands
        for block in blocks()
        if block.page == "README.md" and "convert ckpt.pt" in block.text
    ]
    assert [reason_not_run(command) for command in shown] == [None, None, None]


def test_the_reference_names_all_that_the_package_offers() -> None:
    page = (ROOT / "docs" / "reference" / "index.md").read_text()
    missing = [name for name in legoexport.__all__ if f"`{name}`" not in page]
    assert missing == ["__version__"]
