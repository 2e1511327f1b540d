"""A small LegoNet for 8x8 digits: the embedded example, wide enough that Lego layers pay."""

from __future__ import annotations

from torch import Tensor, nn

from legoexport.models.blocks import LegoRecipe, convolution_norm_relu, scaled

CHANNELS = (64, 128, 256)


class LegoDigitsNet(nn.Module):
    """Dense stem, four 3x3 Lego layers at 8x8 and 4x4 pixels, global pooling, classifier.

    Args:
        recipe: How the Lego layers are cut; None builds the dense twin.
        classes: Number of classes.
        width: Multiplies the channels of every layer.
    """

    def __init__(self, recipe: LegoRecipe | None, *, classes: int = 10, width: float = 1.0) -> None:
        super().__init__()
        stem, middle, last = (scaled(channels, width) for channels in CHANNELS)
        self.features = nn.Sequential(
            *convolution_norm_relu(None, 1, stem, 3),
            *convolution_norm_relu(recipe, stem, middle, 3),
            *convolution_norm_relu(recipe, middle, middle, 3),
            nn.MaxPool2d(2),
            *convolution_norm_relu(recipe, middle, last, 3),
            *convolution_norm_relu(recipe, last, last, 3),
            nn.AdaptiveAvgPool2d(1),
        )
        self.classifier = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(b, 1, 8, 8)`` to class scores ``(b, classes)``."""
        scores: Tensor = self.classifier(self.features(x).flatten(1))
        return scores
