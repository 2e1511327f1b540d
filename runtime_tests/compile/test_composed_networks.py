"""Whatever a network is composed of, it gets a proved file or a UsageError, never anything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.errors import UsageError
from legoexport.target import TARGETS
from runtime_tests.compile.user_networks import lego

EXAMPLES_COUNT = 12
LONGEST_MESSAGE_LINES = 10
CHANNELS = 8


class Apply(nn.Module):
    """A function of one tensor as a module."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


class InBfloat16(nn.Module):
    """A convolution under autocast."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.conv(x)


def fails(x: Tensor) -> Tensor:
    raise LookupError(f"nothing for {tuple(x.shape)}")


# Each keeps eight channels, so that any may follow any.
PARTS: dict[str, Callable[[], nn.Module]] = {
    "lego": lego,
    "batch norm": lambda: nn.BatchNorm2d(CHANNELS),
    "Mish": nn.Mish,
    "weight norm": lambda: parametrizations.weight_norm(nn.Conv2d(CHANNELS, CHANNELS, 1)),
    "old weight norm": lambda: nn.utils.weight_norm(nn.Conv2d(CHANNELS, CHANNELS, 1)),
    "autocast": InBfloat16,
    "half": lambda: Apply(lambda x: x.half().float()),
    "double": lambda: Apply(lambda x: x.double().sigmoid()),
    "adaptive maximum": lambda: nn.AdaptiveMaxPool2d((3, 2)),
    "adaptive mean": lambda: nn.AdaptiveAvgPool2d((3, 2)),
    "antialias": lambda: Apply(
        lambda x: F.interpolate(x, size=(5, 4), mode="bilinear", antialias=True)
    ),
    "attention": lambda: Apply(
        lambda x: F.scaled_dot_product_attention(x, x, x) if x.dim() == 4 else x
    ),
    "in place": lambda: Apply(lambda x: x.mul_(2).add_(1)),
    "sorted": lambda: Apply(lambda x: x.sort(dim=1).values),
    "cumulated": lambda: Apply(lambda x: x.cumsum(1).roll(1, 3)),
    "a branch on values": lambda: Apply(lambda x: x if x.sum() > 0 else -x),
    "a loop on sizes": lambda: Apply(lambda x: sum(x[:, :1] * i for i in range(x.shape[1])) + x),
    "matrix exponential": lambda: Apply(lambda x: torch.matrix_exp(x[..., :1, :1])),
    "complex numbers": lambda: Apply(lambda x: torch.fft.fft2(x).real),
    "random numbers": lambda: Apply(lambda x: x + torch.rand_like(x)),
    "numpy": lambda: Apply(lambda x: torch.from_numpy(x.detach().numpy() * 2)),
    "no tensor": lambda: Apply(lambda x: "scores"),
    "an error of its own": lambda: Apply(fails),
    "too many channels": lambda: nn.Conv2d(CHANNELS + 1, CHANNELS, 1),
}
WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "none": lambda network: network,
    "DataParallel": nn.DataParallel,
    "AveragedModel": torch.optim.swa_utils.AveragedModel,
    "half": lambda network: network.half(),
    "double": lambda network: network.double(),
}


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore::FutureWarning:torch")
@pytest.mark.filterwarnings("ignore:.*deprecated")
@settings(
    max_examples=EXAMPLES_COUNT,
    deadline=None,
    derandomize=True,  # the same twelve each time: a check of a change, not a search
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    parts=st.lists(st.sampled_from(sorted(PARTS)), min_size=1, max_size=4),
    wrapper=st.sampled_from(sorted(WRAPPERS)),
    target=st.sampled_from(sorted(TARGETS)),
    batch=st.integers(1, 3),
)
def test_any_composition_gets_a_file_or_a_clear_answer(
    parts: Sequence[str], wrapper: str, target: str, batch: int
) -> None:
    # PyTorch itself cannot average a network with the old weight norm: it copies what is computed.
    assume(wrapper != "AveragedModel" or "old weight norm" not in parts)
    torch.manual_seed(0)
    network = WRAPPERS[wrapper](nn.Sequential(lego(), *(PARTS[part]() for part in parts)))
    try:
        conversion = convert_module(
            network, torch.zeros(batch, CHANNELS, 8, 8), CompileOptions(TARGETS[target])
        )
    except UsageError as refused:
        message = str(refused)
        assert len(message.splitlines()) < LONGEST_MESSAGE_LINES, message
    else:
        assert conversion.agreement.passed
