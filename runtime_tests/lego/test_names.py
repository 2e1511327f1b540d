"""The name contract: what is named is found again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legoexport.lego import names

# A network that is a single Lego layer has the empty name.
LAYERS = st.sampled_from(["", "conv", "features.3", "a.merge.b", "first#2"])


@given(LAYERS, st.sampled_from(names.PARTS), st.sampled_from(["sum", "conv_0", "sum_nchwc"]))
def test_what_is_named_is_found_again(layer: str, part: names.Part, name: str) -> None:
    full = names.part_name(layer, part, name)
    assert names.owner(full) == (layer, part)
    assert names.belongs_to(layer, full)


@given(LAYERS)
def test_a_table_and_the_output_belong_to_the_layer_and_play_no_part(layer: str) -> None:
    for name in (names.output_name(layer), names.table_name(layer, "lego")):
        assert names.owner(name) is None
        assert names.belongs_to(layer, name)
        assert not names.belongs_to(f"{layer}0", name)


@pytest.mark.parametrize("name", ["", "node_conv2d_1", "weights", "a/merge", "a/merge/", "a/b/c"])
def test_what_belongs_to_no_layer(name: str) -> None:
    assert names.owner(name) is None


@pytest.mark.parametrize(("call", "layer"), [(1, "conv"), (2, "conv#2"), (10, "conv#10")])
def test_every_call_of_a_module_is_a_layer(call: int, layer: str) -> None:
    assert names.call_name("conv", call) == layer
    assert names.module_name(layer) == "conv"
