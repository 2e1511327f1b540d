"""Facts of a file: what is written is read, and what is damaged is named and hides nothing else."""

from __future__ import annotations

import json

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legoexport.errors import UsageError
from legoexport.lego.file_facts import (
    FileFacts,
    ImageFacts,
    is_class_name,
    read_facts,
)
from legoexport.lego.normalization import Normalization

IMAGE = ImageFacts("NCHW", "float32", 32, 48, 3, "RGB")


@given(
    names=st.lists(st.text(min_size=1).filter(is_class_name)),
    sizes=st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
)
def test_what_is_written_is_read(names: list[str], sizes: tuple[int, int]) -> None:
    image = ImageFacts("NCHW", "float32", *sizes, 1, "grey")
    model = onnx.ModelProto()
    entries = {
        "image": image.to_json(),
        "class_names": json.dumps(names),
        "normalization": Normalization((0.5,), (0.2,)).to_json(),
    }
    for key, value in entries.items():
        model.metadata_props.add(key=f"legoexport.{key}", value=value)
    model.metadata_props.add(key="author", value="somebody")
    facts = read_facts(model)
    assert dict(facts.entries) == entries
    assert (facts.image, facts.class_names) == (image, tuple(names))
    assert facts.normalization == Normalization((0.5,), (0.2,))


def test_a_file_of_others_says_nothing() -> None:
    facts = read_facts(onnx.ModelProto())
    assert (facts.image, facts.normalization, facts.class_names) == (None, None, ())
    assert (facts.precision, facts.store) == ("fp32", "fp32")
    assert facts.to_json()["image"] is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image", "{}"),
        ("image", "[1]"),
        ("image", "{"),
        ("image", IMAGE.to_json().replace("NCHW", "NCWH")),
        ("image", IMAGE.to_json().replace("RGB", "BRG")),
        ("image", IMAGE.to_json().replace("32,", "-32,")),
        ("image", IMAGE.to_json().replace("48", "true")),
        ("image", IMAGE.to_json().replace("}", ', "more": 1}')),
        ("normalization", "{}"),
        ("resize", '{"source": [480, 640]}'),
        ("resize", "[" * 100_000),
        ("class_names", "cat"),
        ("class_names", '"cat"'),
        ("class_names", "[1]"),
        ("class_names", '["\\u001b[31mcat"]'),
        ("class_names", "[" * 100_000),
        ("precision", "int4"),
        ("store", "int4"),
    ],
)
def test_a_damaged_entry_is_named_and_hides_no_other(key: str, value: str) -> None:
    entries = {"image": IMAGE.to_json(), "class_names": "[]"} | {key: value}
    facts = FileFacts(entries)
    with pytest.raises(UsageError, match=rf"legoexport\.{key} in the model's metadata is damaged"):
        getattr(facts, key)
    others = {"image": IMAGE, "class_names": (), "precision": "fp32"}
    for other, expected in others.items():
        if other != key:
            assert getattr(facts, other) == expected
