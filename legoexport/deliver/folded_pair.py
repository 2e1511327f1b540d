"""A converted file and what another tool made of it: read, loaded, and held to be one network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from legoexport.compile.stamp import read_stamp
from legoexport.errors import UsageError
from legoexport.host.reading import read_bytes
from legoexport.lego.file_facts import PREFIX
from legoexport.ort.session import RuntimeModel, parse_model

# What a tool has no reason to change, and what no two networks have in common.
IDENTITY = ("checkpoint_sha256", "mask_sha256", "plan", "precision", "store", "scales_sha256")
DEFAULT_DOMAINS = ("", "ai.onnx")
GIVE_BOTH = "give the file that convert wrote with --like, and what the tool made of it as FOLDED"


@dataclass(frozen=True)
class Given:
    """A file of the user's that ONNX Runtime runs.

    Attributes:
        path: Where it is.
        content: Its bytes.
        model: What they hold.
        runtime: A session that runs it as users do.
    """

    path: Path
    content: bytes
    model: onnx.ModelProto
    runtime: RuntimeModel

    @classmethod
    def read(cls, path: Path) -> Given:
        """Read and load a file.

        Raises:
            UsageError: It cannot be read, is no ONNX file of its own, or does not load.
        """
        content = read_bytes(path)
        model = parse_model(content, str(path))
        _check_whole(model, path)
        try:
            return cls(path, content, model, RuntimeModel(content, threads=1))
        except UsageError as error:
            raise UsageError(f"{path} does not run", received=error) from None

    @property
    def opset(self) -> int:
        """Of the default domain."""
        opsets = {entry.domain: entry.version for entry in self.model.opset_import}
        return next((opsets[domain] for domain in DEFAULT_DOMAINS if domain in opsets), 0)

    @property
    def ends(self) -> dict[str, Any]:
        """What it takes and gives, the size of its batch left out."""
        model = self.runtime
        taken = {one.name: (one.dtype, *one.shape) for one in model.inputs}
        return taken | dict(zip(model.output_names, model.output_dtypes, strict=True))


@dataclass(frozen=True)
class FoldedPair:
    """Two files of one network.

    Attributes:
        folded: What a tool made.
        like: The converted file that it was given.

    Raises:
        UsageError: ``like`` is no converted file, or ``folded`` was not made of it.
    """

    folded: Given
    like: Given

    def __post_init__(self) -> None:
        if not read_stamp(self.like.model):
            raise UsageError(
                f"{self.like.path} is not a file that legoexport wrote",
                received="no legoexport metadata",
                legal="an ONNX file as convert wrote it",
                next_step=GIVE_BOTH,
            )
        for what, received, legal in self._differences():
            raise UsageError(
                f"{self.folded.path} was not made of {self.like.path}: they differ in {what}",
                received=received,
                legal=legal,
                next_step=GIVE_BOTH,
            )

    def _differences(self) -> Iterator[tuple[str, object, object]]:
        folded, like = self.folded, self.like
        if folded.ends != like.ends:
            yield "what they take and give", folded.ends, like.ends
        if folded.opset != like.opset:
            yield "their opset", folded.opset, f"{like.opset}; convert writes another by --opset"
        stamps = read_stamp(folded.model), read_stamp(like.model)
        for key in IDENTITY:
            found, expected = (stamp.get(key) for stamp in stamps)
            if stamps[0] and found != expected:
                yield PREFIX + key, _shown(found), _shown(expected)


def _shown(entry: str | None) -> str:
    return "no such entry" if entry is None else " ".join(entry.split())


def _check_whole(model: onnx.ModelProto, path: Path) -> None:
    outside = onnx.TensorProto.EXTERNAL
    names = [one.name for one in model.graph.initializer if one.data_location == outside]
    if names:
        raise UsageError(
            f"{path} keeps tensors in another file",
            received=names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more",
            legal="an ONNX file that holds all of its tensors",
            next_step="onnx.save(onnx.load(PATH), NEW_PATH) brings them into one file",
        )
