"""Whole networks from dense to Lego: every layer finds its source, and nothing else changes."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from legoexport.compile.freeze import freeze
from legoexport.errors import CheckpointError, UsageError
from legoexport.models.checkpoint import read_checkpoint, write_checkpoint
from legoexport.models.dense_twin import expand_lego
from legoexport.models.fitting.calibrate import recalibrate
from legoexport.models.fitting.cluster import FitOptions
from legoexport.models.fitting.network import fit_network
from legoexport.models.lego_conv import LegoConv2d
from legoexport.models.legofy import legofy
from legoexport.models.registry import build
from legoexport.training.data.images import ImageData
from legoexport.training.from_dense import fit
from runtime_tests.models.strangers import DenseBlockNet, Inception, UNet

QUICK = FitOptions(restarts_count=1, most_iterations=3)

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")


def dense_digits(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    module = build("digits")
    for name, buffer in module.named_buffers():  # as after a training, each of its own
        if buffer.is_floating_point():
            buffer.copy_(torch.rand(buffer.shape) + 0.5 * ("var" in name))
    return module.eval()


@pytest.mark.parametrize("stranger", [DenseBlockNet, Inception, UNet])
def test_what_legofy_made_takes_the_weights_back(stranger: type[nn.Module]) -> None:
    """With a bank as large as it needs to be: one filter for every fragment of a dense filter."""
    torch.manual_seed(0)
    dense = stranger().eval()
    lego = legofy(dense, o=2, m=2 * 24).module.eval()
    fits = fit_network(lego, dense, QUICK)
    assert fits
    assert max(fit.relative_error_ratio for fit in fits) <= 1e-6  # float32
    x = torch.randn(2, 3, 18, 14)
    with torch.no_grad():
        expected = dense(x)
        # A few float32 convolutions in a row.
        torch.testing.assert_close(lego(x), expected, rtol=1e-4, atol=1e-5)


def test_a_legonet_is_recovered_from_its_dense_twin() -> None:
    torch.manual_seed(1)
    settings = {"o": 4, "m_ratio": 0.125}
    original = build("lego_digits", **settings).eval()
    fitted = build("lego_digits", **settings).eval()
    fits = fit_network(fitted, expand_lego(original))
    assert [fit.layer for fit in fits] == [f"features.{i}" for i in (3, 6, 10, 13)]
    assert max(fit.relative_error_ratio for fit in fits) <= 1e-6
    x = torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(fitted(x), original(x), rtol=1e-4, atol=1e-5)


def test_everything_else_is_copied_bit_by_bit() -> None:
    dense = dense_digits()
    before = copy.deepcopy(dense.state_dict())
    lego = build("lego_digits", o=2, m_ratio=0.125)
    fit_network(lego, dense, QUICK)
    assert all(torch.equal(before[name], value) for name, value in dense.state_dict().items())
    shared = lego.state_dict().keys() & before.keys()
    assert "features.4.running_var" in shared
    assert "classifier.bias" in shared
    assert all(torch.equal(before[name], lego.state_dict()[name]) for name in shared)
    fitted = {"lego", "coefficients", "mask_logits"}
    assert {name.rpartition(".")[2] for name in lego.state_dict().keys() - shared} == fitted


def test_freezing_finds_nothing_to_complain_about() -> None:
    lego = build("lego_digits", o=2, m_ratio=0.25, coefficients=False)
    fit_network(lego, dense_digits(), QUICK)
    for audit in freeze(lego, torch.zeros(1, 1, 8, 8)).audits:
        assert (audit.ties_count, audit.thin_margins_count) == (0, 0)


def test_networks_that_do_not_fit_are_named() -> None:
    dense = dense_digits()
    with pytest.raises(UsageError, match="no Lego layers"):
        fit_network(dense, dense)
    small = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 3))
    lego = legofy(small, o=2, m=2).module
    with pytest.raises(UsageError, match=r"dense network at layer 1[^$]*nothing"):
        fit_network(lego, small[:1])
    other = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3), nn.Conv2d(6, 8, 3))
    with pytest.raises(UsageError, match=r"dense layer 1[^$]*4 -> 6, 3x3[^$]*4 -> 8, 3x3"):
        fit_network(lego, other)
    biasless = nn.Sequential(small[0], nn.Conv2d(4, 8, 3, bias=False), small[2])
    with pytest.raises(UsageError, match=r"lacks weights[^$]*1\.bias"):
        fit_network(lego, biasless)


def test_recalibration_gives_each_batch_norm_the_statistics_of_its_input() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, momentum=0.3), nn.ReLU()).eval()
    images = torch.randn(384, 1, 5, 5) * 2 + 1
    assert recalibrate(net, images) == 1
    norm = net[1]
    assert isinstance(norm, nn.BatchNorm2d)
    maps = net[0](images).detach().double().numpy()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # Mean of means is exact; the mean of the batches' variances lacks the variance between them.
    np.testing.assert_allclose(norm.running_mean, maps.mean((0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(norm.running_var, maps.var((0, 2, 3)), rtol=0.02)
    assert (norm.momentum, norm.training, net.training) == (0.3, False, False)


def data(count: int = 40) -> ImageData:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2 * count, 1, 8, 8, generator=generator)
    labels = torch.arange(2 * count) % 10
    return ImageData(images[:count], labels[:count], images[count:], labels[count:])


def written(path: Path, module: nn.Module, arch: str, **settings: object) -> Path:
    write_checkpoint(path, module, arch=arch, hyperparameters=settings)
    return path


def test_fit_calibrates_and_counts(tmp_path: Path) -> None:
    path = written(tmp_path / "dense.pt", dense_digits(), "digits", classes=10)
    dense = read_checkpoint(path, dense=True)
    pictures = data()
    result = fit(dense, o=2, m_ratio=0.25, data=pictures, options=QUICK, to="weights")
    assert result.output_fits == ()
    assert (result.arch, result.batch_norms_count) == ("lego_digits", 5)
    assert result.hyperparameters["m_ratio"] == 0.25
    assert result.correct is not None
    for module, count in (
        (dense.module, result.correct.dense_count),
        (result.module, result.correct.lego_count),
    ):
        with torch.no_grad():
            predicted = module.eval()(pictures.test_images).argmax(1)
        assert count == int((predicted == pictures.test_labels).sum())
    plain = fit(dense, o=2, m_ratio=0.25, options=QUICK)
    assert plain.correct is None
    mean = "features.4.running_mean"
    assert torch.equal(plain.module.state_dict()[mean], dense.module.state_dict()[mean])
    assert not torch.equal(result.module.state_dict()[mean], dense.module.state_dict()[mean])


def test_only_a_dense_network_is_read_as_one(tmp_path: Path) -> None:
    dense = written(tmp_path / "dense.pt", dense_digits(), "digits")
    lego = written(tmp_path / "lego.pt", build("lego_digits"), "lego_digits")
    with pytest.raises(CheckpointError, match="Lego layers already"):
        read_checkpoint(lego, dense=True)
    with pytest.raises(CheckpointError, match=r"no Lego layers[^$]*legoexport fit"):
        read_checkpoint(dense)
    bare = tmp_path / "bare.pt"
    torch.save(dense_digits().state_dict(), bare)
    assert read_checkpoint(bare, arch="digits", dense=True).arch == "digits"


def test_a_network_of_your_own_is_sent_to_python(tmp_path: Path) -> None:
    path = tmp_path / "own.pt"
    torch.save(UNet().state_dict(), path)
    own = read_checkpoint(
        path, model="runtime_tests.models.strangers:UNet", input_size=(16, 16), dense=True
    )
    with pytest.raises(CheckpointError, match=r"your own code[^$]*fit\(network"):
        fit(own)


def test_pictures_of_another_size_are_refused(tmp_path: Path) -> None:
    dense = read_checkpoint(written(tmp_path / "dense.pt", dense_digits(), "digits"), dense=True)
    pictures = data()
    wide = ImageData(
        *(pictures.train_images.repeat(1, 1, 2, 2), pictures.train_labels),
        *(pictures.test_images.repeat(1, 1, 2, 2), pictures.test_labels),
    )
    with pytest.raises(UsageError, match=r"do not fit[^$]*1, 16, 16[^$]*1, 8, 8"):
        fit(dense, o=2, m_ratio=0.25, data=wide)


def test_fit_takes_a_module_of_your_own(tmp_path: Path) -> None:
    dense = UNet().eval()
    before = {name: tensor.clone() for name, tensor in dense.state_dict().items()}
    result = fit(dense, o=2, m_ratio=0.5, options=QUICK)
    assert [one.layer for one in result.fits] == list(legofy(dense, o=2, m_ratio=0.5).replaced)
    for one in result.fits:
        lego, weight = result.module.get_submodule(one.layer), before[f"{one.layer}.weight"]
        assert isinstance(lego, LegoConv2d)
        error = (lego.weight().detach() - weight).norm() / weight.norm()
        # The report is of float64, the layer holds float32.
        assert one.relative_error_ratio == pytest.approx(error.item(), rel=1e-4)
    assert all(torch.equal(before[name], tensor) for name, tensor in dense.state_dict().items())
    with pytest.raises(UsageError, match=r"own\.pt[^$]*write_checkpoint"):
        result.save(tmp_path / "own.pt")
    assert not list(tmp_path.iterdir())


def test_a_fit_is_saved_as_a_checkpoint(tmp_path: Path) -> None:
    path = written(tmp_path / "dense.pt", dense_digits(), "digits")
    result = fit(read_checkpoint(path, dense=True), options=QUICK)
    saved = read_checkpoint(result.save(tmp_path / "lego.pt"))
    assert (saved.arch, saved.hyperparameters) == (result.arch, result.hyperparameters)
    for name, tensor in result.module.state_dict().items():
        assert torch.equal(tensor, saved.module.state_dict()[name])
