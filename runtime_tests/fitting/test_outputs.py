"""A LegoNet fitted to the outputs of a dense network, layer by layer and as a whole."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from legoexport.compile.freeze import freeze
from legoexport.errors import UsageError
from legoexport.models.dense_twin import expand_lego
from legoexport.models.fitting.calibrate import recalibrate
from legoexport.models.fitting.cluster import FitOptions
from legoexport.models.fitting.distill import DistillOptions, draw_batches
from legoexport.models.fitting.layer_outputs import LayerOptions
from legoexport.models.fitting.network import fit_network
from legoexport.models.fitting.outputs import fit_outputs
from legoexport.models.fitting.positions import Positions
from legoexport.models.lego_conv import LegoConv2d
from legoexport.models.legofy import legofy
from legoexport.training.data import digits
from legoexport.training.data.images import ImageData
from legoexport.training.fit_outputs import OutputOptions
from legoexport.training.from_dense import fit

QUICK = FitOptions(restarts_count=1, most_iterations=3)
FEW = LayerOptions(images_count=200, positions_count=1600, rounds_count=2, steps_per_round=2)


def small() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)),
        *(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(inplace=True)),
        *(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)),
    )


@pytest.fixture(scope="module")
def data() -> ImageData:
    return digits.load()


@pytest.fixture(scope="module")
def dense(data: ImageData) -> nn.Module:
    """A few steps of training: weights and statistics of its own, and features that matter."""
    torch.manual_seed(0)
    module = small()
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-3)
    images, labels = data.normalised(data.train_images), data.train_labels
    for index in draw_batches(len(images), DistillOptions(steps_count=100)):
        optimizer.zero_grad()
        F.cross_entropy(module(images[index]), labels[index]).backward()
        optimizer.step()
    return module.eval()


def distance(module: nn.Module, dense: nn.Module, data: ImageData) -> float:
    """Mean squared distance of the held-out scores."""
    shown = data.normalised(data.test_images)
    with torch.no_grad():
        return float(F.mse_loss(module(shown), dense(shown)))


def clustered(dense: nn.Module, *, o: int = 2, m_ratio: float = 0.5) -> nn.Module:
    lego = legofy(dense, o=o, m_ratio=m_ratio).module.eval()
    fit_network(lego, dense, QUICK)
    return lego


@pytest.mark.parametrize(
    ("stride", "padding", "dilation"), [(1, 1, 1), (2, 0, 1), ((1, 2), (2, 1), (2, 1))], ids=str
)
def test_patches_times_the_weight_are_the_outputs_at_the_positions(
    stride: int, padding: int, dilation: int
) -> None:
    torch.manual_seed(0)
    layer = LegoConv2d(
        4, 6, (3, 2), o=2, m=3, stride=stride, padding=padding, dilation=dilation, bias=False
    )
    maps, positions = torch.randn(5, 4, 9, 8), Positions(images_count=5, count=30, seed=0)
    with torch.no_grad():
        actual = positions.patches(layer, maps) @ layer.weight().flatten(1).T
        expected = positions.sample(layer(maps))
    assert expected.shape == (30, 6)
    # The same 24 products in another order, in float32.
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def test_batches_of_pictures_are_read_at_the_positions_of_all() -> None:
    maps, positions = torch.randn(7, 3, 4, 4), Positions(images_count=7, count=21, seed=0)
    parts = [positions.sample(maps[:4], 0), positions.sample(maps[4:], 4)]
    assert torch.equal(torch.cat(parts), positions.sample(maps))


def test_fitted_outputs_and_scores_are_closer_than_with_fitted_weights(
    dense: nn.Module, data: ImageData
) -> None:
    before = copy.deepcopy(dense.state_dict())
    lego = clustered(dense)
    plain = copy.deepcopy(lego)
    recalibrate(plain, data.normalised(data.train_images[:200]))
    fits = fit_outputs(lego, dense, data.normalised(data.train_images[:200]), FEW)
    assert [each.layer for each in fits] == ["3", "6"]
    assert all(each.fitted_error_ratio < each.clustered_error_ratio for each in fits)
    assert distance(lego, dense, data) < distance(plain, dense, data)
    assert all(torch.equal(before[name], value) for name, value in dense.state_dict().items())
    for audit in freeze(lego, torch.zeros(1, 1, 8, 8)).audits:
        assert (audit.ties_count, audit.thin_margins_count) == (0, 0)


def test_the_report_is_the_error_of_the_outputs(dense: nn.Module, data: ImageData) -> None:
    """Computed from whole maps: with as many positions as there are, none is left out."""
    images = data.normalised(data.train_images[:50])
    lego = clustered(dense)
    (first, _) = fit_outputs(lego, dense, images, replace(FEW, positions_count=50 * 16))
    norm = dense.get_submodule("4")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    with torch.no_grad():
        wanted, actual = (module[:4](images).double() for module in (dense, lego))  # type: ignore[index]
        scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).double()

    def size(maps: Tensor) -> float:
        values = scale * maps.transpose(1, 3).flatten(0, 2)
        return float((values - values.mean(0)).norm())

    # The report is computed in float32 from sums of squares.
    assert first.fitted_error_ratio == pytest.approx(size(actual - wanted) / size(wanted), rel=1e-3)


def test_batch_norms_have_the_statistics_of_what_they_read(
    dense: nn.Module, data: ImageData
) -> None:
    images, lego = data.normalised(data.train_images[:100]), clustered(dense)
    fit_outputs(lego, dense, images, FEW)
    assert isinstance(lego, nn.Sequential)
    norm, theirs = lego[7], dense.get_submodule("7")
    with torch.no_grad():
        maps = lego[:7](images)
    # float32 sums in another order.
    torch.testing.assert_close(norm.running_mean, maps.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, maps.var((0, 2, 3)), rtol=1e-4, atol=1e-5)
    assert norm.state_dict()["weight"].equal(theirs.state_dict()["weight"])
    # A bias before batch norm changes nothing there, but it is the one that the outputs ask for.
    with torch.no_grad():
        means = [module[:4](images).mean((0, 2, 3)) for module in (lego, dense)]  # type: ignore[index]
    assert (means[0] - means[1]).abs().max() <= 0.1 * means[1].abs().max()  # of sampled positions


def test_a_legonet_is_recovered_from_its_dense_twin(data: ImageData) -> None:
    torch.manual_seed(1)
    original = legofy(small().eval(), o=2, m_ratio=0.25).module.eval()
    recalibrate(original, data.normalised(data.train_images[:200]))
    twin = expand_lego(original)
    lego = legofy(twin, o=2, m_ratio=0.25).module.eval()
    fit_network(lego, twin)
    fits = fit_outputs(lego, twin, data.normalised(data.train_images[:200]), FEW)
    # Square roots of float32 rounding of squared errors.
    assert max(each.fitted_error_ratio for each in fits) <= 3e-3
    assert distance(lego, original, data) <= 1e-4


def test_a_fit_is_repeated_to_the_bit(dense: nn.Module, data: ImageData) -> None:
    options = OutputOptions(FEW, DistillOptions(steps_count=3))
    first, second = (
        fit(dense, o=4, m_ratio=0.5, data=data, options=QUICK, outputs=options) for _ in range(2)
    )
    assert first.output_fits == second.output_fits
    state = second.module.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in first.module.state_dict().items())
    masks = [each for name, each in first.module.named_parameters() if "mask_logits" in name]
    assert all(each.requires_grad for each in masks)


def test_steps_on_the_scores_bring_them_closer(dense: nn.Module, data: ImageData) -> None:
    none, some = (
        fit(
            dense,
            data=data,
            options=QUICK,
            outputs=OutputOptions(FEW, DistillOptions(steps_count=count)),
        ).module
        for count in (0, 100)
    )
    assert distance(some, dense, data) < distance(none, dense, data)


def test_without_coefficients_too(dense: nn.Module, data: ImageData) -> None:
    outputs = OutputOptions(FEW, DistillOptions(steps_count=0))
    result = fit(dense, coefficients=False, data=data, options=QUICK, outputs=outputs)
    assert all(e.fitted_error_ratio < e.clustered_error_ratio for e in result.output_fits)


def test_every_picture_is_shown_before_one_comes_again() -> None:
    options = DistillOptions(steps_count=5, batch_size=3)
    batches = [batch.tolist() for batch in draw_batches(6, options)]
    assert sorted(batches[0] + batches[1]) == sorted(batches[2] + batches[3]) == list(range(6))
    assert [len(batch) for batch in draw_batches(2, options)] == [2] * 5


def test_what_cannot_be_fitted_is_refused(dense: nn.Module) -> None:
    with pytest.raises(UsageError, match=r"on pictures[^$]*--data"):
        fit(dense, to="outputs")
    with pytest.raises(UsageError, match=r"scores[^$]*weights, outputs"):
        fit(dense, to="scores")
    with pytest.raises(UsageError, match="nowhere"):
        fit(dense, device="nowhere")
