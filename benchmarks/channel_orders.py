"""Which channels share a fragment: orders of a layer's input channels, tried before the fit.

    python -m benchmarks.channel_orders dense.pt cifar10-jpeg.zip --device cuda --pairs 2:0.5,4:0.25

The outputs of a layer and the inputs of the next one may be permuted alike: the dense function
stays as it was, and the fragments of the next layer hold other channels. For networks that are a
chain (vgg16, digits). Prints the table of docs/fit.md, a row as soon as it is known.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from legoexport.models.checkpoint import read_checkpoint
from legoexport.models.fitting.calibrate import recalibrate
from legoexport.models.fitting.cluster import FitOptions, assign, best_filters, seed_filters
from legoexport.models.fitting.layer import fragments
from legoexport.models.fitting.layer_outputs import LayerOptions
from legoexport.models.fitting.network import fit_network
from legoexport.models.legofy import legofy
from legoexport.training.data.images import ImageData
from legoexport.training.data.source import load
from legoexport.training.evaluate import count_correct
from legoexport.training.fit import choose_device
from legoexport.training.fit_outputs import CALIBRATION_COUNT, fit_layers, some_images
from legoexport.training.ranks import ALONE

# Filters of the banks that channels are aligned with, one after the other: a full bank follows the
# order that it was fitted to, and no channel moves any more.
COARSE = (1, 2, 4)
ROUNDS_COUNT = 15
LEAST_GAIN_RATIO = 1e-4
SEARCH_IMAGES_COUNT = 1024

# From a weight (n, c, kh, kw), already scaled by what its inputs and outputs count, o and a seed.
Search = Callable[[Tensor, int, int], Tensor]


def as_trained(weight: Tensor, _o: int, _seed: int) -> Tensor:
    """Leave every channel where it is."""
    return torch.arange(weight.shape[1])


def drawn(weight: Tensor, _o: int, seed: int) -> Tensor:
    """Draw an order: what chance does."""
    return torch.randperm(weight.shape[1], generator=torch.Generator().manual_seed(seed))


def strong_together(weight: Tensor, _o: int, _seed: int) -> Tensor:
    """Put the channels that count most into the first fragment."""
    return weight.square().sum((0, 2, 3)).argsort(descending=True).cpu()


def aligned(weight: Tensor, o: int, seed: int) -> Tensor:
    """Alternate choices, bank and the best order for both; each step lowers the squared error."""
    order = torch.arange(weight.shape[1])
    for m in COARSE:
        generator, last = torch.Generator().manual_seed(seed), math.inf
        filters = seed_filters(fragments(weight[:, order], o), m, generator, scaled=True)
        for _ in range(ROUNDS_COUNT):
            vectors = fragments(weight[:, order], o)
            filters = best_filters(vectors, assign(vectors, filters, scaled=True), filters)
            found = assign(vectors, filters, scaled=True)
            parts = (found.coefficient[:, None] * filters[found.index]).reshape(o, len(weight), -1)
            described = parts.transpose(0, 1).reshape(weight.shape)
            order = order[best_order(weight[:, order], described)]
            error = float((weight[:, order] - described).square().sum())
            if last - error < LEAST_GAIN_RATIO * error:
                break
            last = error
    return order


def best_order(weight: Tensor, described: Tensor) -> Tensor:
    """Return which channel of a weight to put at each place of a description, at the least error.

    The squared error is a sum over places, so this is an assignment problem, solved exactly.

    Args:
        weight: ``(n, c, kh, kw)``.
        described: The same shape.
    """
    channels, places = (each.transpose(0, 1).flatten(1) for each in (weight, described))
    cost = places.square().sum(1)[:, None] / 2 - places @ channels.T
    return torch.as_tensor(linear_sum_assignment(cost.cpu().numpy())[1])


ORDERS: dict[str, Search] = {
    "as trained": as_trained,
    "drawn": drawn,
    "strong channels together": strong_together,
    "aligned": aligned,
}


@torch.no_grad()
def permuted(dense: nn.Module, images: Tensor, search: Search, o: int, seed: int) -> nn.Module:
    """Return a copy that computes the same, with channels in the order that a search finds.

    Args:
        dense: A network whose ``features`` are a chain of convolutions, each with a batch norm.
        images: Prepared pictures that tell how much each channel varies.
        search: Finds the order for the inputs of each convolution but the first.
        o: Fragments of the input channels.
        seed: Seed of the search.
    """
    dense = copy.deepcopy(dense)
    power = _input_variances(dense, images)
    chain = _chain(dense)
    for (before, shared), (layer, norm) in itertools.pairwise(chain):
        assert norm.running_var is not None  # noqa: S101 - trained with statistics
        scale = norm.weight.double().square() / (norm.running_var.double() + norm.eps)
        share = scale[:, None] * power[layer][None]
        weight = layer.weight.double() * share.sqrt()[:, :, None, None]
        permute(before, shared, layer, search(weight, o, seed).to(weight.device))
    return dense


@torch.no_grad()
def permute(before: nn.Conv2d, norm: nn.BatchNorm2d, layer: nn.Conv2d, order: Tensor) -> None:
    """Put channel ``order[p]`` between two convolutions at place p, in place."""
    own = (before.weight, before.bias, norm.weight, norm.bias, norm.running_mean, norm.running_var)
    for each in own:
        if each is not None:
            each.copy_(each[order])
    layer.weight.copy_(layer.weight[:, order])


@dataclass(frozen=True)
class Case:
    """One order and what is fitted with it.

    Attributes:
        o: Fragments of the input channels.
        m_ratio: Lego filters per output channel.
        name: Of the order.
        seed: Seed of the order and of the clustering.
    """

    o: int
    m_ratio: float
    name: str
    seed: int


def measure(dense: nn.Module, data: ImageData, case: Case) -> Iterator[str]:
    """Yield a row for the fit of weights and one for the fit of outputs."""
    shown, seed = some_images(data, SEARCH_IMAGES_COUNT).together, case.seed
    network = permuted(dense, shown, ORDERS[case.name], case.o, seed)
    lego = legofy(network, o=case.o, m_ratio=case.m_ratio).module.eval()
    fits = fit_network(lego, network, FitOptions(seed=seed))
    plain = copy.deepcopy(lego)
    recalibrate(plain, some_images(data, CALIBRATION_COUNT))
    errors = [each.relative_error_ratio for each in fits]
    yield f"{_right(plain, data)}  weights {_mean(errors)}  {case.name}, seed {seed}"
    outputs = fit_layers(lego, network, data, LayerOptions())
    errors = [each.fitted_error_ratio for each in outputs]
    yield f"{_right(lego, data)}  outputs {_mean(errors)}  {case.name}, seed {seed}"


def _right(module: nn.Module, data: ImageData) -> str:
    return f"{count_correct(module, data) / len(data.test_labels):8.2%} right"


def _mean(errors: list[float]) -> str:
    return f"off by {sum(errors) / len(errors):.2%}"


def _chain(dense: nn.Module) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    modules = list(dense.get_submodule("features").children())
    return [
        (each, norm)
        for each, norm in itertools.pairwise(modules)
        if isinstance(each, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    ]


def _input_variances(dense: nn.Module, images: Tensor) -> dict[nn.Module, Tensor]:
    found: dict[nn.Module, Tensor] = {}

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found[layer] = inputs[0].double().var(dim=(0, 2, 3))

    handles = [layer.register_forward_pre_hook(keep) for layer, _ in _chain(dense)]
    dense(images)
    for handle in handles:
        handle.remove()
    return found


def main() -> None:
    """Measure, and print each row as soon as it is known."""
    asked = _arguments()
    dense = read_checkpoint(asked.dense, dense=True)
    channels, size, _ = dense.input_shape
    device = choose_device(asked.device, ALONE)
    data = load(asked.data, channels=channels, size=size).data.to(device)
    network = dense.module.eval().to(device)
    for pair in asked.pairs.split(","):
        o, m_ratio = pair.split(":")
        sys.stdout.write(f"o={o}, m={m_ratio}\n")
        for seed in range(asked.seeds):
            for name in ORDERS:
                for row in measure(network, data, Case(int(o), float(m_ratio), name, seed)):
                    sys.stdout.write(row + "\n")
                    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dense", type=Path)
    parser.add_argument("data")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pairs", default="2:0.5", help="o:m-ratio, with commas between")
    parser.add_argument("--seeds", type=int, default=1, help="how often each order is found")
    return parser.parse_args()


if __name__ == "__main__":
    main()
