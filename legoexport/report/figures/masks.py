"""Picture: which fragment of a layer uses which Lego filter, and how evenly."""

from __future__ import annotations

from legoexport.report.facts import LayerMasks
from legoexport.report.figures.style import LIMIT, TRANSFORM, Picture, drawing, to_svg

INCH_FRAGMENT = 0.18
MOST_INCH_FRAGMENTS = 1.6


def draw_masks(layer: LayerMasks, name: str) -> Picture:
    """Draw the (fragment, filter) pairs above the uses of each filter.

    Args:
        layer: The layer.
        name: What the identifiers of the drawing start with.
    """
    uses, frozen = layer.uses, layer.frozen
    description = _description(layer)
    inch_map = min(MOST_INCH_FRAGMENTS, 0.5 + INCH_FRAGMENT * frozen.o)
    with drawing(inch_map, 1.3) as (figure, (above, below)):
        above.imshow(uses, aspect="auto", cmap="viridis", interpolation="none", vmin=0)
        above.set_ylabel("fragment")
        above.set_yticks([0, frozen.o - 1] if frozen.o > 1 else [0])
        above.tick_params(labelbottom=False)
        below.stairs(uses.sum(axis=0), range(frozen.m + 1), fill=True, color=TRANSFORM)
        below.axhline(uses.sum() / frozen.m, color=LIMIT, linestyle="--", linewidth=1.2)
        below.set_xlim(0, frozen.m)
        below.set_xlabel("Lego filter")
        below.set_ylabel("uses")
        svg = to_svg(figure, name, description)
    note = (
        f"Yellow: {int(uses.max())} output channels take that filter of that fragment; dark violet:"
        f" none do. Below, the uses of each filter; dashed: even use. Evenness"
        f" {layer.audit.evenness_ratio:.2f}, {layer.audit.unused_filters_count} of {frozen.m}"
        " filters unused."
    )
    return Picture(layer.audit.layer, description, note, svg)


def _description(layer: LayerMasks) -> str:
    frozen, audit = layer.frozen, layer.audit
    return (
        f"Masks of {audit.layer}: {frozen.o} fragments choose among {frozen.m} Lego filters for"
        f" {frozen.n} output channels; {frozen.selection.pair_count} of {frozen.o * frozen.m} pairs"
        f" are used, {audit.unused_filters_count} filters never; evenness"
        f" {audit.evenness_ratio:.2f} of 1"
    )
