"""ResNet-50 with Lego layers (LegoNet, Table 2): every convolution but the first."""

from __future__ import annotations

from torch import Tensor, nn

from legoexport.models.blocks import LegoRecipe, convolution, scaled, shortcut

EXPANSION = 4
STEM_CHANNELS = 64
# Channels inside a block, and number of blocks, of the four stages.
STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
LARGE_INPUT = 64


class Bottleneck(nn.Module):
    """1x1, 3x3 (which carries the stride), 1x1, and the shortcut."""

    def __init__(
        self, recipe: LegoRecipe | None, in_channels: int, inner_channels: int, stride: int
    ) -> None:
        super().__init__()
        out_channels = EXPANSION * inner_channels
        self.conv1 = convolution(recipe, in_channels, inner_channels, 1)
        self.bn1 = nn.BatchNorm2d(inner_channels)
        self.conv2 = convolution(recipe, inner_channels, inner_channels, 3, stride=stride)
        self.bn2 = nn.BatchNorm2d(inner_channels)
        self.conv3 = convolution(recipe, inner_channels, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(recipe, in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(b, c, h, w)`` to ``(b, 4 * inner_channels, h / stride, w / stride)``."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y)) + self.downsample(x)
        out: Tensor = self.relu(y)
        return out


class LegoResNet50(nn.Module):
    """ResNet-50, with torchvision's module names.

    Args:
        recipe: How the Lego layers are cut; None builds the dense twin.
        classes: Number of classes.
        input_size: Height and width in pixels; small images get a 3x3 stem without pooling.
        width: Multiplies the channels of every layer.
    """

    def __init__(
        self,
        recipe: LegoRecipe | None,
        *,
        classes: int = 1000,
        input_size: int = 224,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        large = input_size >= LARGE_INPUT
        channels = scaled(STEM_CHANNELS, width)
        kernel_size, stride = (7, 2) if large else (3, 1)
        self.conv1 = convolution(None, 3, channels, kernel_size, stride=stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if large else nn.Identity()
        for number, (full_channels, blocks_count) in enumerate(STAGES, start=1):
            inner, stride = scaled(full_channels, width), 1 if number == 1 else 2
            self.add_module(f"layer{number}", _stage(recipe, channels, inner, blocks_count, stride))
            channels = EXPANSION * inner
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(b, 3, h, w)`` to class scores ``(b, classes)``."""
        y = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for number in range(1, len(STAGES) + 1):
            y = self.get_submodule(f"layer{number}")(y)
        scores: Tensor = self.fc(self.avgpool(y).flatten(1))
        return scores


def _stage(
    recipe: LegoRecipe | None, in_channels: int, inner_channels: int, blocks_count: int, stride: int
) -> nn.Sequential:
    blocks = [Bottleneck(recipe, in_channels, inner_channels, stride)]
    while len(blocks) < blocks_count:
        blocks.append(Bottleneck(recipe, EXPANSION * inner_channels, inner_channels, 1))
    return nn.Sequential(*blocks)
