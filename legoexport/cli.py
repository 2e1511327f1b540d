"""The command line: finds the command, and turns errors into messages and exit codes."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from pathlib import Path

import click

from legoexport.errors import LegoExportError, UsageError, closest
from legoexport.host.standard_output import fill_closed_streams, told_output
from legoexport.host.temporary import check_temporary_folder, no_room
from legoexport.signals import end_cleanly, exit_code
from legoexport.version import __version__

# A line each, so that listing them imports none of them: most need torch.
COMMANDS = {
    "train": "Train a LegoNet on pictures.",
    "fit": "Fit a LegoNet to a trained dense network, as a start for training.",
    "sweep": "Train a grid of LegoNets, convert, measure and draw them.",
    "convert": "Convert a checkpoint to standard ONNX and prove it equal.",
    "targets": "List what convert can compile for, and what each target means.",
    "verify": "Compare an ONNX file with its checkpoint, or with a parity bundle.",
    "predict": "Classify pictures with an ONNX file.",
    "bench": "Measure the latency of an ONNX file, alone or beside another.",
    "report": "Write all of it into one HTML file, with pictures.",
    "calibrate": "Measure this machine for the cost model of convert.",
    "web": "Build or serve a page that runs, proves and measures an ONNX file in a browser.",
    "doctor": "Look for known trouble with an ONNX file on a target, before it happens.",
    "compact": "Bring a file that another tool has folded back to its size.",
    "inspect": "Show the Lego layers of a checkpoint or ONNX file, and their totals.",
}
# What a command was called before, and what its new name says better.
RENAMED = {"legofy": "fit"}


class LazyGroup(click.Group):
    """Imports a command when it is invoked."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the road."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import ``legoexport.commands.<cmd_name>``."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"legoexport.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and say which one was meant if there is none of that name."""
        name = args[0]
        if not name.startswith("-") and name not in COMMANDS:
            ctx.fail(_no_such_command(name))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(__version__, prog_name="legoexport")
def group() -> None:
    """Take a trained LegoNet to the phone: convert, verify, bench, inspect."""
    _check_working_directory()
    check_temporary_folder()


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a check failed, 2 bad usage, 130 interrupted."""
    end_cleanly()
    fill_closed_streams()
    try:
        with told_output():
            # Outside standalone mode click returns the code of ctx.exit() and does not exit.
            code = group(arguments, prog_name="legoexport", standalone_mode=False)
            sys.stdout.flush()  # what cannot be written shows here, and not when Python ends
        sys.exit(code if isinstance(code, int) else 0)
    except LegoExportError as error:
        _fail(f"error: {error}", error.exit_code)
    except click.ClickException as error:
        with contextlib.suppress(OSError):
            error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", exit_code(signal.SIGINT))
    except BrokenPipeError:
        sys.exit(1)  # the reader went away; say nothing
    except OSError as error:
        if not (explained := no_room(error)):
            raise
        _fail(f"error: {explained}", explained.exit_code)


def _check_working_directory() -> None:
    """Refuse one that is gone: torch's own libraries end the process there."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UsageError(
            "the working directory does not exist any more",
            received=os.environ.get("PWD"),
            next_step="cd to a folder that exists",
        ) from None


def _no_such_command(name: str) -> str:
    if name in RENAMED:
        return f"The command {name!r} is called {RENAMED[name]!r} now."
    meant = closest(name, COMMANDS)
    hint = f"Did you mean {meant!r}?" if meant else f"There are: {', '.join(COMMANDS)}."
    return f"No such command {name!r}. {hint}"


def _fail(message: str, exit_code: int) -> None:
    with contextlib.suppress(OSError):  # where nothing can be said, the code still tells
        click.echo(message, err=True)
    sys.exit(exit_code)
