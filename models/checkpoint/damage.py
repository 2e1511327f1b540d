"""What is wrong with a file's content, in one kind of error; ``explained`` adds the file's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from legoexport.errors import CheckpointError

_LINE_LENGTH = 400


class MalformedFileError(ValueError):
    """The bytes are not what a checkpoint holds."""


class ForeignGlobalError(MalformedFileError):
    """A pickle asks for something that is not in a checkpoint's vocabulary.

    Args:
        name: The dotted name that the pickle asked for.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@contextmanager
def foreign_reader(fault: str) -> Iterator[None]:
    """Surround one call of a library's reader: damaged bytes may make it raise anything.

    Our own code stays outside of the block, so that its mistakes are never taken for damage.

    Args:
        fault: What is wrong if it raises, such as "a zip archive that is damaged".

    Raises:
        MalformedFileError: It raised, other than for want of memory.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # the libraries promise no particular one
        raise MalformedFileError(f"{fault} ({type(error).__name__}: {error})") from error


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Name the file in every error about its content, once, so that no reader has to carry it.

    Args:
        path: The file that the block reads.

    Raises:
        CheckpointError: The block raised one, or found the file malformed.
    """
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {_printable(str(error))}") from error.__cause__
    except ForeignGlobalError as error:
        raise CheckpointError(
            f"{path} asks for {_printable(error.name)}, which no checkpoint needs; nothing was run",
            received=_printable(error.name),
            legal="tensors, plain values, and the classes of the published lego_vgg16",
            next_step="where the model was trained, save its weights alone: "
            "torch.save(model.state_dict(), 'weights.pt')",
        ) from None
    except MalformedFileError as error:
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint: it is damaged, cut short, or something else",
            received=_printable(str(error)),
            legal="a file that torch.save or safetensors wrote",
            next_step="copy the file again from where it was saved, and compare the sizes",
        ) from error


def _printable(text: str) -> str:
    """A message short and harmless to a terminal, whatever names and values a file puts in it."""
    lines = (
        line if len(line) <= _LINE_LENGTH else f"{line[:_LINE_LENGTH]}... ({len(line)} characters)"
        for line in text.split("\n")
    )
    return "\n".join(
        "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)
        for line in lines
    )
