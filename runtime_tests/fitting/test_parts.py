"""More pictures than run at a time: the parts give what all of them give together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from legoexport.errors import UsageError
from legoexport.models.fitting.cluster import FitOptions
from legoexport.models.fitting.layer_outputs import LayerOptions, OutputFit
from legoexport.models.fitting.network import fit_network
from legoexport.models.fitting.outputs import fit_outputs
from legoexport.models.fitting.parts import Forerunner, statistics
from legoexport.models.fitting.positions import Positions
from legoexport.models.lego_conv import LegoConv2d
from legoexport.models.legofy import legofy
from legoexport.training.data import digits
from legoexport.training.fit_outputs import SomeImages, some_images

COUNT, MAPS_SIZE = 600, 16  # 256 pictures run at a time, however few pixels may
IN_PARTS = LayerOptions(
    pixels_count=1, positions_count=COUNT * MAPS_SIZE, rounds_count=1, steps_per_round=1
)


@pytest.fixture(scope="module")
def images() -> SomeImages:
    return some_images(digits.load(), COUNT)


@pytest.fixture(scope="module")
def dense() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)),
        *(nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)),
        *(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)),
    ).eval()


@pytest.fixture
def lego(dense: nn.Sequential) -> nn.Sequential:
    lego = legofy(dense, o=2, m_ratio=0.5).module.eval()
    fit_network(lego, dense, FitOptions(restarts_count=1, most_iterations=2))
    assert isinstance(lego, nn.Sequential)
    return lego


def sizes_run(
    lego: nn.Sequential, dense: nn.Module, images: SomeImages, options: LayerOptions
) -> tuple[list[int], tuple[OutputFit, ...]]:
    """How many pictures each run of the LegoNet took, and what came out."""
    sizes: list[int] = []
    handle = lego[0].register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    fits = fit_outputs(lego, dense, images, options)
    handle.remove()
    return sizes, fits


@torch.no_grad()
def test_statistics_and_errors_are_those_of_all_pictures(
    dense: nn.Sequential, lego: nn.Sequential, images: SomeImages
) -> None:
    sizes, (first, _) = sizes_run(lego, dense, images, IN_PARTS)
    # Two Lego layers and three batch norms stop the run on the first part.
    assert sizes == [200] * (1 + 5 * 2)
    together = images.together
    for index in (1, 4, 7):
        norm, maps = lego[index], lego[:index](together).double()
        assert isinstance(norm, nn.BatchNorm2d)
        # float32 sums in another order.
        torch.testing.assert_close(
            norm.running_mean.double(), maps.mean((0, 2, 3)), rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(
            norm.running_var.double(), maps.var((0, 2, 3)), rtol=1e-4, atol=1e-5
        )
    wanted, actual = (
        module[3](before[:3](together)).double().transpose(1, 3).flatten(0, 2)
        for module, before in ((dense, dense), (lego, lego))
    )
    norm = dense[4]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).double()
    off, whole = (scale * (one - one.mean(0)) for one in (actual - wanted, wanted))
    # The report is computed in float32 from sums of squares.
    assert first.fitted_error_ratio == pytest.approx(float(off.norm() / whole.norm()), rel=1e-3)


def test_what_runs_at_once_runs_once(
    dense: nn.Sequential, lego: nn.Sequential, images: SomeImages
) -> None:
    sizes, _ = sizes_run(lego, dense, images, replace(IN_PARTS, pixels_count=2**22))
    assert sizes == [COUNT]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 2**31), st.floats(-9, 9))
def test_statistics_of_parts(counts: list[int], seed: int, offset: float) -> None:
    rng = np.random.default_rng(seed)
    parts = [offset + rng.standard_normal((count, 3, 2, 2)) for count in counts]
    maps = np.concatenate(parts).transpose(1, 0, 2, 3).reshape(3, -1)
    mean, variance = statistics(torch.from_numpy(part) for part in parts)
    # float64 throughout; the offset costs two digits.
    np.testing.assert_allclose(mean, maps.mean(1), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(variance, maps.var(1, ddof=1), rtol=1e-11)


@pytest.mark.parametrize("count", [21, 70, 4])
def test_parts_are_read_at_the_positions_of_all(count: int) -> None:
    """Where pictures outnumber positions, the first have one each."""
    torch.manual_seed(0)
    maps, positions = torch.randn(7, 4, 5, 4), Positions(images_count=7, count=count, seed=0)
    layer = LegoConv2d(4, 2, 3, o=2, m=1, padding=1)
    samples = [positions.sample(maps[:3], 0), positions.sample(maps[3:], 3)]
    patches = [positions.patches(layer, maps[:3], 0), positions.patches(layer, maps[3:], 3)]
    assert torch.equal(torch.cat(samples), positions.sample(maps))
    assert torch.equal(torch.cat(patches), positions.patches(layer, maps))
    assert len(positions.sample(maps)) == count


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.shared(1 + self.shared(images))
        return found if images.sum() < 0 else self.shared(found)


def test_a_module_is_reached_in_the_call_that_is_meant() -> None:
    module, images = Twice(), torch.full((2, 1, 1, 1), -3.0)
    forerunner = Forerunner(module)
    module.shared.register_forward_pre_hook(
        lambda one, inputs: forerunner.passes(one, inputs[0]) and None
    )
    assert torch.equal(forerunner.input(module.shared, 1, images), images)
    assert torch.equal(forerunner.input(module.shared, 2, images), images + 1)
    assert torch.equal(forerunner.input(module.shared, 3, -images), 1 - images)
    with pytest.raises(UsageError, match="for some pictures only"):
        forerunner.input(module.shared, 3, images)
