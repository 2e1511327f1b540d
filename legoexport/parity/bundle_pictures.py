"""Pictures of a bundle: PNG files with golden outputs, so that a decoder is part of the check.

They are the images of the bundle that are made of pixels, in the size that the model takes, so that
nothing has to be scaled. ``pictures.json`` lists each with what the model must give for it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.host.png import to_png
from legoexport.host.reading import read_bytes
from legoexport.lego.file_facts import FileFacts
from legoexport.lego.normalization import Normalization
from legoexport.parity.golden import GoldenOutput, GoldenSet

FOLDER = "pictures"
LIST_FILE = f"{FOLDER}/pictures.json"
NAMES = re.compile(rf"{FOLDER}/([0-9]+-[0-9]+\.png|pictures\.json)", re.ASCII)
# Of each set: a decoder that is wrong is wrong on most pictures, and a bundle is to stay small.
MOST_PICTURES = 32
# So many digits tell every float32 from its neighbours.
DIGITS = 9


def pack_pictures(sets: Sequence[GoldenSet], facts: FileFacts) -> dict[str, bytes]:
    """Return the files to write, by their names in the bundle; none if no set is made of pixels.

    Args:
        sets: What the bundle checks.
        facts: What the model says of the image that it takes.
    """
    files: dict[str, bytes] = {}
    listed = []
    for i, one in enumerate(sets):
        for j, picture in enumerate(_pixels(one, facts)[:MOST_PICTURES]):
            name = f"{FOLDER}/{i}-{j}.png"
            files[name] = to_png(picture)
            outputs = {output.name: _golden(output, j) for output in one.outputs}
            listed.append({"file": name, "set": one.name, "outputs": outputs})
    if listed:
        files[LIST_FILE] = (json.dumps(listed, indent=1) + "\n").encode()
    return files


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the digest of each file by its name, as ``bundle.json`` records it."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def check_pictures(folder: Path, recorded: object) -> None:
    """Hold the pictures of a bundle to what was recorded when it was made.

    Args:
        folder: The bundle.
        recorded: As ``digests`` gives it.

    Raises:
        UsageError: A file is missing, or is another one; it is named.
    """
    names = recorded if isinstance(recorded, dict) else {"": ""}
    for name, digest in names.items():
        found = digests({name: read_bytes(folder / name)}) if NAMES.fullmatch(name) else {}
        if found != {name: digest}:
            raise UsageError(
                f"{folder} is not a bundle: {name or FOLDER} is not what was recorded",
                received=found.get(name, "another name"),
                legal=digest,
                next_step="make it again with legoexport verify --save-bundle",
            )


def _pixels(one: GoldenSet, facts: FileFacts) -> NDArray[np.uint8]:
    """Return the images of a set as pixels ``(N, h, w, c)``; none if they are not made of any."""
    none, normalization = np.zeros((0, 1, 1, 1), np.uint8), facts.normalization
    if facts.image is None or normalization is None:
        return none
    if facts.pixels is not None:
        return one.images
    try:
        pixels = normalization.undone(one.images)
    except UsageError:
        return none
    return pixels if _gives_back(pixels, one.images, normalization) else none


def _gives_back(
    pixels: NDArray[np.uint8], images: NDArray[Any], normalization: Normalization
) -> bool:
    """Whether the golden outputs are those of the pictures too, to the last bit of the images."""
    return np.array_equal(normalization.applied(np.moveaxis(pixels, 3, 1)), images)


def _golden(output: GoldenOutput, j: int) -> Mapping[str, Any]:
    values = output.values[j].tolist()
    if output.values.dtype == np.float32:
        values = json.loads(json.dumps(values), parse_float=_short)
    return {"values": values, "limit": output.limit}


def _short(number: str) -> float:
    return float(f"{float(number):.{DIGITS}g}")
