"""MobileNet v1 with Lego layers (LegoNet, Table 3): the 1x1 convolutions only."""

from __future__ import annotations

from torch import Tensor, nn

from legoexport.models.blocks import LegoRecipe, convolution_norm_relu, scaled

STEM_CHANNELS = 32
# Output channels and stride of each depthwise-separable block.
BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)
LARGE_INPUT = 64


class LegoMobileNet(nn.Module):
    """MobileNet v1.

    Args:
        recipe: How the 1x1 layers are cut; None builds the dense twin.
        classes: Number of classes.
        input_size: Height and width in pixels; small images keep their size in the stem.
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
        stem_stride = 2 if input_size >= LARGE_INPUT else 1
        channels = scaled(STEM_CHANNELS, width)
        modules = convolution_norm_relu(None, 3, channels, 3, stride=stem_stride)
        for full_channels, stride in BLOCKS:
            out_channels = scaled(full_channels, width)
            modules += _depthwise(channels, stride)
            modules += convolution_norm_relu(recipe, channels, out_channels, 1)
            channels = out_channels
        self.features = nn.Sequential(*modules, nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(b, 3, h, w)`` to class scores ``(b, classes)``."""
        scores: Tensor = self.classifier(self.features(x).flatten(1))
        return scores


def _depthwise(channels: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    ]
