"""ResNet-20 for 32x32 images with Lego layers: the two convolutions of every block."""

from __future__ import annotations

from torch import Tensor, nn

from legoexport.models.blocks import LegoRecipe, convolution, scaled, shortcut

# Output channels of each stage (He et al. 2016, section 4.2, n = 3).
CHANNELS = (16, 32, 64)
BLOCKS_COUNT = 3


class BasicBlock(nn.Module):
    """3x3 (which carries the stride), 3x3, and the shortcut, which stays dense."""

    def __init__(
        self, recipe: LegoRecipe | None, in_channels: int, out_channels: int, stride: int
    ) -> None:
        super().__init__()
        self.conv1 = convolution(recipe, in_channels, out_channels, 3, stride=stride)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = convolution(recipe, out_channels, out_channels, 3)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(None, in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(b, c, h, w)`` to ``(b, out_channels, h / stride, w / stride)``."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y)) + self.downsample(x)
        out: Tensor = self.relu(y)
        return out


class LegoResNet20(nn.Module):
    """ResNet-20 of CIFAR, with the module names of torchvision's ResNets.

    Shortcuts between stages are 1x1 convolutions with batch norm, option B of He et al. 2016. The
    strided slice and the padding of option A would stay in float in an int8 file. Option B has
    2,752 weights more: 272,474 in the dense network. The shortcuts stay dense, as they hold 1 % of
    the weights.

    Args:
        recipe: How the Lego layers are cut; None builds the dense twin.
        classes: Number of classes.
        width: Multiplies the channels of every layer.
    """

    def __init__(self, recipe: LegoRecipe | None, *, classes: int = 10, width: float = 1.0) -> None:
        super().__init__()
        first, middle, last = (scaled(channels, width) for channels in CHANNELS)
        self.conv1 = convolution(None, 3, first, 3)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _stage(recipe, first, first, 1)
        self.layer2 = _stage(recipe, first, middle, 2)
        self.layer3 = _stage(recipe, middle, last, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(b, 3, h, w)`` to class scores ``(b, classes)``."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.layer3(self.layer2(self.layer1(y)))
        scores: Tensor = self.fc(self.avgpool(y).flatten(1))
        return scores


def _stage(
    recipe: LegoRecipe | None, in_channels: int, out_channels: int, stride: int
) -> nn.Sequential:
    first = BasicBlock(recipe, in_channels, out_channels, stride)
    others = (BasicBlock(recipe, out_channels, out_channels, 1) for _ in range(1, BLOCKS_COUNT))
    return nn.Sequential(first, *others)
