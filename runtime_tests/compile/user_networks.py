"""Networks as people have them: each once stopped the compiler with a traceback or without need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

from legoexport.models.lego_conv import LegoConv2d

EXAMPLE = torch.zeros(1, 8, 8, 8)
Forward = Callable[[nn.Module, Tensor], Any]


def lego() -> LegoConv2d:
    return LegoConv2d(8, 8, 3, o=2, m=4, padding=1)


class After(nn.Module):
    """A Lego layer, and a function of it and its input that a test gives."""

    def __init__(self, rest: Callable[[Tensor], Any], *, before: Callable[..., Any] = torch.clone):
        super().__init__()
        self.body, self.rest, self.before = lego(), rest, before

    def forward(self, *images: Tensor) -> Any:
        return self.rest(self.body(self.before(*images)))


class Keeps(nn.Module):
    """It keeps a tensor that it computed, which refuses to be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.seen = lego(), {"last": [torch.zeros(1)]}

    def forward(self, x: Tensor) -> Tensor:
        self.seen["last"] = [self.body(x)]
        return self.seen["last"][0]


class Meets(nn.Module):
    """A module called twice, and one whose own name is what the second call would get."""

    def __init__(self) -> None:
        super().__init__()
        self.a = lego()
        self.add_module("a#2", lego())

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule("a#2")(self.a(self.a(x)))


class Autocast(nn.Module):
    """A region of autocast around a Lego layer and an ordinary one."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = lego(), nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = self.head(self.body(x))
        return y.float()


class Reads(nn.Module):
    """A recurrent layer that reads the map of a Lego layer position by position, as for text."""

    def __init__(self, recurrent: type[nn.LSTM | nn.GRU]) -> None:
        super().__init__()
        self.body, self.reader = lego(), recurrent(8, 4, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Any:
        return self.reader(self.body(x).flatten(2).transpose(1, 2))[0]


def before(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(lego(), *layers)


def used(network: nn.Module) -> nn.Module:
    network(torch.rand(2, *EXAMPLE.shape[1:]))
    return network


def pruned() -> nn.Module:
    network = before(nn.Conv2d(8, 8, 3))
    prune.l1_unstructured(network[1], "weight", 0.5)  # type: ignore[index]
    return used(network)


def spectral(norm: Callable[[nn.Module], nn.Module]) -> nn.Module:
    return used(before(norm(nn.Conv2d(8, 8, 3))))


def attention(x: Tensor) -> Tensor:
    flat = x.flatten(2)
    return F.scaled_dot_product_attention(flat, flat, flat, is_causal=True)


# Each is converted and proved; the first ones in every test run, all of them in the heavy one.
CONVERTED: dict[str, Callable[[], nn.Module]] = {
    "one small layer": before,
    "weight norm, old": lambda: before(nn.utils.weight_norm(nn.Conv2d(8, 8, 3))),
    "keeps a tensor": lambda: used(Keeps()),
    "autocast": Autocast,
    "names that meet": Meets,
    "weight norm": lambda: before(parametrizations.weight_norm(nn.Conv2d(8, 8, 3))),
    "spectral norm, old": lambda: spectral(nn.utils.spectral_norm),
    "spectral norm": lambda: spectral(parametrizations.spectral_norm),
    "pruned": pruned,
    "compiled": lambda: torch.compile(before(nn.ReLU())),  # type: ignore[dict-item,return-value]
    "a part compiled": lambda: nn.Sequential(torch.compile(lego()), nn.ReLU()),  # type: ignore[call-overload]
    "DataParallel": lambda: nn.DataParallel(before(nn.ReLU())),
    "AveragedModel": lambda: torch.optim.swa_utils.AveragedModel(before(nn.ReLU())),
    "half": lambda: before(nn.BatchNorm2d(8)).half(),
    "bfloat16": lambda: before().bfloat16(),
    "double": lambda: before().double(),
    "float() inside": lambda: After(torch.relu, before=lambda x: x.float()),
    "half() inside": lambda: After(lambda y: y.half().float() * 2),
    "double() inside": lambda: After(lambda y: y.double().exp().float()),
    "any number of arguments": lambda: After(torch.relu),
    "adaptive maximum, to a divisor": lambda: before(nn.AdaptiveMaxPool2d(4)),
    "adaptive maximum, to 7 of 8": lambda: before(nn.AdaptiveMaxPool2d(7)),
    "adaptive maximum, to (3, 5)": lambda: before(nn.AdaptiveMaxPool2d((3, 5))),
    "clamp between an integer and a fraction": lambda: After(lambda y: y.clamp(-1, 0.5)),
    "LSTM": lambda: Reads(nn.LSTM),
    "GRU": lambda: Reads(nn.GRU),
    "RReLU": lambda: before(nn.RReLU()),
    "attention of rank 3": lambda: After(attention),
    "unit vectors": lambda: After(lambda y: F.normalize(y.flatten(1))),
    "vector norm": lambda: After(lambda y: y.norm(dim=1)),
    "adaptive mean, to 7 of 8": lambda: before(nn.AdaptiveAvgPool2d(7)),
    "instance norm": lambda: before(nn.InstanceNorm2d(8), nn.GroupNorm(2, 8), nn.SiLU()),
    "transposed convolution": lambda: before(nn.ConvTranspose2d(8, 4, 2, 2), nn.PixelShuffle(2)),
    "log softmax": lambda: After(lambda y: y.mean((2, 3)).log_softmax(1)),
    "Mish": lambda: before(nn.Mish()),
    "Hardswish": lambda: before(nn.Hardswish()),
    "unfold": lambda: After(lambda y: F.unfold(y, 3)),
    "fold, of opset 18": lambda: After(lambda y: F.fold(F.unfold(y, 3), 8, 3)),
    "antialias, of opset 18": lambda: After(
        lambda y: F.interpolate(y, scale_factor=0.5, mode="bilinear", antialias=True)
    ),
}

# Each is refused by a message that holds the words.
REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "fails itself": (
        lambda: nn.Sequential(lego(), nn.Linear(3, 3)),
        r"(?s)module 1 \(Linear\) fails.*RuntimeError",
    ),
    "scripted": (lambda: torch.jit.script(before()), "scripted network has lost its layers"),
    "traced by fx": (lambda: torch.fx.symbolic_trace(before()), "before torch.fx traced it"),
    "random numbers": (
        lambda: After(lambda y: y + torch.rand_like(y)),
        "network After computes something else each time",
    ),
    "no tensor": (lambda: After(lambda _: "scores"), r"(?s)cannot be an output.*received: str"),
    "if on values": (
        lambda: nn.Sequential(After(lambda y: y if y.sum() > 0 else -y)),
        r"cannot trace module 0 \(After\)",
    ),
    "matrix_exp": (
        lambda: nn.Sequential(After(torch.matrix_exp)),
        r"(?s)no ONNX for aten.linalg_matrix_exp.*module 0 \(After\), at .*user_networks.py",
    ),
    "batch norm of the batch": (
        lambda: before(nn.BatchNorm2d(8, track_running_stats=False)),
        r"batch norm 1 keeps no running statistics",
    ),
    "random pooling": (
        lambda: before(nn.FractionalMaxPool2d(2, output_size=4)),
        r"(?s)no ONNX for aten.fractional_max_pool2d.*module 1 \(FractionalMaxPool2d\)",
    ),
}
