"""A frozen Lego layer as a torch module, computed the paper's way: split, transform, merge."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from legoexport.lego.frozen import FrozenLego


class FrozenLegoConv2d(nn.Module):
    """LegoConv2d with its masks turned into an index table (LegoNet, Eq. 3-5).

    Attributes:
        lego: ``(m, c/o, kh, kw)``.
        index: ``(o, n)`` int64.
        coefficient: ``(o, n)``.
        bias: ``(n,)`` or None.
    """

    lego: Tensor
    index: Tensor
    coefficient: Tensor
    bias: Tensor | None

    def __init__(self, frozen: FrozenLego) -> None:
        super().__init__()
        self.stride, self.padding, self.dilation = frozen.stride, frozen.padding, frozen.dilation
        for name in ("lego", "index", "coefficient", "bias"):
            array = getattr(frozen, name)
            self.register_buffer(name, None if array is None else torch.tensor(array))

    @property
    def out_channels(self) -> int:
        """Number of output channels n."""
        return self.index.shape[1]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(b, c, h, w)`` to ``(b, n, h', w')``."""
        fragments = x.chunk(self.index.shape[0], dim=1)
        y = sum(self._contribution(i, fragment) for i, fragment in enumerate(fragments))
        assert isinstance(y, Tensor)  # noqa: S101 - o >= 1, for the type checker
        return y if self.bias is None else y + self.bias[:, None, None]

    def _contribution(self, i: int, fragment: Tensor) -> Tensor:
        maps = F.conv2d(
            fragment,
            self.lego,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )
        return maps[:, self.index[i]] * self.coefficient[i, :, None, None]
