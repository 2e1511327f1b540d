"""A small LegoNet for 8x8 digits: the embedded example, wide enough that Lego layers pay."""

from __future__ import annotations

from torch import Tensor, nn

from legoexport.models.blocks import LegoRecipe, convolution_norm_relu


class LegoDigitsNet(nn.Module):
    """Dense stem, four 3x3 Lego layers at 8x8 and 4x4 pixels, global pooling, classifier.

    Args:
        recipe: How the Lego layers are cut; None builds the dense twin.
        classes: Number of classes.
    """

    def __init__(self, recipe: LegoRecipe | None, *, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *convolution_norm_relu(None, 1, 64, 3),
            *convolution_norm_relu(recipe, 64, 128, 3),
            *convolution_norm_relu(recipe, 128, 128, 3),
            nn.MaxPool2d(2),
            *convolution_norm_relu(recipe, 128, 256, 3),
            *convolution_norm_relu(recipe, 256, 256, 3),
            nn.AdaptiveAvgPool2d(1),
        )
        self.classifier = nn.Linear(256, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(b, 1, 8, 8)`` to class scores ``(b, classes)``."""
        scores: Tensor = self.classifier(self.features(x).flatten(1))
        return scores
