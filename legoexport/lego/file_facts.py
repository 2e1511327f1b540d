"""What a converted file says of itself: the one reader of ``metadata_props``, entry by entry.

``docs/metadata.md`` is the schema. An entry is parsed when it is asked for, so that one that is
damaged hides none of the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import onnx

from legoexport.errors import UsageError
from legoexport.lego import output_form
from legoexport.lego.normalization import Normalization
from legoexport.lego.resampling import Resize
from legoexport.lego.scales import PRECISIONS, Precision
from legoexport.lego.storage import Store, find_store

PREFIX = "legoexport."
Layout = Literal["NCHW", "NHWC"]
Dtype = Literal["float32", "uint8"]
Colours = Literal["grey", "RGB", "unknown"]
Scaling = Literal["crop to aspect, bicubic", "in the file"]
COUNT = re.compile("[1-9][0-9]{0,8}", re.ASCII)
IMAGE_LEGAL = (
    f"layout {get_args(Layout)}, dtype {get_args(Dtype)}, height and width in pixels, channels,"
    f" colours {get_args(Colours)} and resize {get_args(Scaling)}"
)


@dataclass(frozen=True)
class ImageFacts:
    """The image that a file takes.

    Attributes:
        layout: Order of the dimensions: N batch, C channels, H height, W width.
        dtype: Type of its elements. Floats are normalised; pixels are not: the file does it.
        height: In pixels.
        width: In pixels.
        channels: 1 or 3.
        colours: What the channels are; unknown where nobody recorded how training read pictures.
        resize: How a picture of another size becomes this large, as in training: cut to the aspect
            ratio around its centre, then scaled with Pillow's bicubic filter. The file may do it.

    Raises:
        ValueError: They are something else.
    """

    layout: Layout
    dtype: Dtype
    height: int
    width: int
    channels: int
    colours: Colours
    resize: Scaling = "crop to aspect, bicubic"

    def __post_init__(self) -> None:
        named = (
            (self.layout, Layout),
            (self.dtype, Dtype),
            (self.colours, Colours),
            (self.resize, Scaling),
        )
        sizes = (self.height, self.width, self.channels)
        fits = all(type(size) is int and size > 0 for size in sizes)
        if not fits or not all(name in get_args(names) for name, names in named):
            raise ValueError(f"{self} is no image")

    def to_json(self) -> str:
        """Return it as the metadata of a converted file has it."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class FileFacts:
    """What a file says.

    Attributes:
        entries: Its metadata without the prefix; empty if legoexport did not write the file.
    """

    entries: Mapping[str, str]

    @property
    def image(self) -> ImageFacts | None:
        """The image that it takes, if it takes one and nothing else.

        Raises:
            UsageError: The entry is damaged.
        """
        text = self.entries.get("image")
        try:
            return None if text is None else ImageFacts(**json.loads(text))
        except (ValueError, TypeError, RecursionError) as error:
            raise damaged("image", error, IMAGE_LEGAL) from None

    @property
    def normalization(self) -> Normalization | None:
        """How the pictures of the training were normalised, if the file says so.

        Raises:
            UsageError: The entry is damaged.
        """
        text = self.entries.get("normalization")
        source = f"{PREFIX}normalization in the model's metadata"
        return None if text is None else Normalization.from_json(text, source)

    @property
    def pixels(self) -> Normalization | None:
        """How the file itself normalises the pixels that it takes; None if it takes floats.

        Raises:
            UsageError: An entry is damaged.
        """
        image = self.image
        return self.normalization if image is not None and image.dtype == "uint8" else None

    @property
    def resize(self) -> Resize | None:
        """How the file itself scales pixels; as ``normalization`` otherwise."""
        text = self.entries.get("resize")
        source = f"{PREFIX}resize in the model's metadata"
        return None if text is None else Resize.from_json(text, source)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class in the order of the outputs; none if the file has none.

        Raises:
            UsageError: The entry is damaged.
        """
        text = self.entries.get("class_names", "[]")
        try:
            names = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise damaged("class_names", error, "a list of names") from None
        if not isinstance(names, list) or not all(map(is_class_name, names)):
            raise damaged("class_names", text, "a list of names that can be printed")
        return tuple(names)

    def names_of(self, classes_count: int) -> tuple[str, ...]:
        """Return the name of each class of a file that scores so many; none if it has none.

        Raises:
            UsageError: The entry is damaged, or names another number of classes.
        """
        names = self.class_names
        if names and len(names) != classes_count:
            raise UsageError(
                f"{PREFIX}class_names in the model's metadata does not fit its scores",
                received=f"{len(names)} names",
                legal=classes_count,
                next_step="name the classes with --labels",
            )
        return names

    @property
    def output(self) -> str:
        """What the file gives for each image, as ``output_form`` has it.

        Raises:
            UsageError: The entry is damaged.
        """
        text = self.entries.get("output", output_form.SCORES)
        if not output_form.is_output(text):
            raise damaged("output", text, output_form.LEGAL)
        return text

    @property
    def classes_count(self) -> int | None:
        """How many classes there are, if the file gives only some; None if it does not say.

        Raises:
            UsageError: The entry is damaged.
        """
        text = self.entries.get("classes_count")
        if text is not None and not COUNT.fullmatch(text):
            raise damaged("classes_count", text, "a number from 1")
        return None if text is None else int(text)

    @property
    def precision(self) -> Precision:
        """What the file computes in.

        Raises:
            UsageError: The entry is damaged.
        """
        text = self.entries.get("precision", "fp32")
        for precision in PRECISIONS:
            if precision == text:
                return precision
        raise damaged("precision", text, ", ".join(PRECISIONS))

    @property
    def store(self) -> Store:
        """How the file holds banks and dense weights.

        Raises:
            UsageError: The entry is damaged.
        """
        try:
            return find_store(self.entries.get("store", "fp32"))
        except UsageError as error:
            raise damaged("store", error, None) from None

    def to_json(self) -> dict[str, Any]:
        """Return what an app has to know to prepare a picture and to read the scores.

        Raises:
            UsageError: An entry is damaged.
        """
        image, normalization, resize = self.image, self.normalization, self.resize
        return {
            "image": image and asdict(image),
            "normalization": normalization and asdict(normalization),
            "resize": resize and asdict(resize),
            "class_names": list(self.class_names),
            "output": self.output,
            "precision": self.precision,
        }


def read_facts(model: onnx.ModelProto) -> FileFacts:
    """Return what ``model`` says of itself."""
    return FileFacts(
        {
            entry.key.removeprefix(PREFIX): entry.value
            for entry in model.metadata_props
            if entry.key.startswith(PREFIX)
        }
    )


def is_class_name(name: object) -> bool:
    """Whether ``name`` can stand in a table: text that a terminal prints as it is."""
    return isinstance(name, str) and name.isprintable() and bool(name.strip())


def damaged(key: str, received: object, legal: str | None) -> UsageError:
    """Return the error that names a damaged entry."""
    return UsageError(
        f"{PREFIX}{key} in the model's metadata is damaged", received=received, legal=legal
    )
