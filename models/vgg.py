"""VGG16 with Lego layers, as in the paper (13 convolutions) and as in its code (15)."""

from __future__ import annotations

from torch import Tensor, nn

from legoexport.errors import UsageError
from legoexport.models.blocks import LegoRecipe, convolution_norm_relu, scaled

POOL = 0
# Output channels of each convolution, POOL where the map is halved.
LAYERS: dict[str, tuple[int, ...]] = {
    "paper": (
        *(64, 64, POOL, 128, 128, POOL, 256, 256, 256, POOL),
        *(512, 512, 512, POOL, 512, 512, 512, POOL),
    ),
    "published": (
        *(64, 64, 64, POOL, 128, 128, 128, POOL, 256, 256, 256, POOL),
        *(512, 512, 512, POOL, 512, 512, 512, POOL),
    ),
}


class LegoVGG16(nn.Module):
    """VGG16 with batch norm; the first convolution and the classifier stay dense.

    ``features.N`` are the indices of the published LegoNet_pytorch code, so that its state_dicts
    name the same layers. The pooling after the last block reduces any map to one pixel; at 32x32
    there is only one, as published.

    Args:
        recipe: How the Lego layers are cut; None builds the dense twin.
        classes: Number of classes.
        form: ``"paper"`` or ``"published"``.
        width: Multiplies the channels of every layer.
    """

    def __init__(
        self,
        recipe: LegoRecipe | None,
        *,
        classes: int = 10,
        form: str = "paper",
        width: float = 1.0,
    ) -> None:
        super().__init__()
        if form not in LAYERS:
            raise UsageError("unknown form of VGG16", received=form, legal=", ".join(LAYERS))
        layers = tuple(each if each == POOL else scaled(each, width) for each in LAYERS[form])
        self.features = nn.Sequential(*_features(recipe, layers))
        self.classifier = nn.Linear(max(layers), classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(b, 3, h, w)`` to class scores ``(b, classes)``."""
        scores: Tensor = self.classifier(self.features(x).flatten(1))
        return scores


def _features(recipe: LegoRecipe | None, layers: tuple[int, ...]) -> list[nn.Module]:
    modules = convolution_norm_relu(None, 3, layers[0], 3, bias=True)
    channels = layers[0]
    for width in layers[1:]:
        if width == POOL:
            modules.append(nn.MaxPool2d(2))
        else:
            modules += convolution_norm_relu(recipe, channels, width, 3)
            channels = width
    return [*modules, nn.AdaptiveAvgPool2d(1)]
