"""The frozen layer computes what the paper defines, on any geometry."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings

from legoexport.models.frozen_conv import FrozenLegoConv2d
from runtime_tests.layers import LayerCase, layer_cases
from runtime_tests.reference import rounding_scale, split_transform_merge

# The longest float64 sum here has 4 * 5 * 25 + 1 terms; each rounding is at most 1.1e-16 of the sum
# of absolute values.
FLOAT64_TOLERANCE = 1e-13


@settings(max_examples=200, deadline=None)
@given(case=layer_cases())
def test_equals_the_definition(case: LayerCase) -> None:
    module = FrozenLegoConv2d(case.frozen)
    x = case.x.astype(np.float64)
    actual = module.double()(torch.tensor(x)).numpy()
    expected = split_transform_merge(x, case.frozen)
    assert actual.shape == expected.shape
    assert module.out_channels == case.frozen.n
    tolerance = FLOAT64_TOLERANCE * max(1, rounding_scale(x, case.frozen))
    assert np.abs(actual - expected).max() <= tolerance
