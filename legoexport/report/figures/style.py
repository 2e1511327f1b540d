"""How pictures become part of a page: SVG whose colours and text are the page's own.

Matplotlib draws with stand-in colours; each is replaced by a variable of the page's style sheet, so
that one picture serves light and dark. Text stays text, for those who search, zoom or listen.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, FAINT = "#010203", "#010204"
TRANSFORM, MERGE, MOVEMENT, WEIGHTS, OTHER, LIMIT = (f"#0102{code}" for code in range(10, 16))
# Each stand-in, and what the style sheet calls the colour.
VARIABLES = {
    INK: "ink",
    FAINT: "faint",
    TRANSFORM: "transform",
    MERGE: "merge",
    MOVEMENT: "movement",
    WEIGHTS: "weights",
    OTHER: "other",
    LIMIT: "limit",
}
SETTINGS = {
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # names of layers are not formulas
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "legoexport",  # the same facts give the same bytes
}
# As wide as a phone, so that text keeps its size there.
INCH_WIDTH = 4.8
LONGEST_NAME = 32
ROOT = re.compile(r'^.*?<svg[^>]*(viewBox="[^"]*")[^>]*>', re.DOTALL)
UNWANTED = re.compile(
    r'<metadata>.*?</metadata>|<!--.*?-->|<style type="text/css">.*?</style>', re.DOTALL
)
# What makes a drawing large and no clearer: names that nothing refers to, fonts that the page
# chooses, a millionth of a point, and line breaks.
SHORTER = (
    (re.compile(r'<g id="[^"]*"'), "<g"),
    (re.compile(r"font-family: [^;\"]*;?"), ""),
    (re.compile(r"(?<=>)\s+(?=<)"), ""),
)
PATH_DATA = re.compile(r'(?<= d=")[^"]*')
FRACTION = re.compile(r"(\.\d)\d+")
IDENTIFIER = re.compile(r'(?<= id=")|(?<=url\(#)|(?<=href="#)')


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        title: Its heading.
        description: What it shows, for those who do not see it.
        note: How to read it.
        svg: The drawing.
    """

    title: str
    description: str
    note: str
    svg: Markup


@contextmanager
def drawing(*inch_heights: float) -> Iterator[tuple[Figure, list[Axes]]]:
    """Give an empty figure and its axes, one above the other."""
    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type] # its keys are typed as literals
        figure = Figure(figsize=(INCH_WIDTH, sum(inch_heights)), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots(len(inch_heights), 1, squeeze=False, height_ratios=inch_heights)
        yield figure, list(axes.flat)


def to_svg(figure: Figure, name: str, description: str) -> Markup:
    """Return the drawing as an element of a page.

    Args:
        figure: What was drawn.
        name: What its identifiers start with; no other figure of the page has it.
        description: What a screen reader says.
    """
    content = io.StringIO()
    figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    svg = UNWANTED.sub("", content.getvalue()).replace("xlink:href", "href")
    for pattern, instead in SHORTER:
        svg = pattern.sub(instead, svg)
    svg = PATH_DATA.sub(lambda found: FRACTION.sub(r"\1", " ".join(found[0].split())), svg)
    svg = IDENTIFIER.sub(f"{name}-", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    root = f'<svg role="img" aria-label="{escape(description)}" '
    drawn = ROOT.sub(lambda found: f"{root}{found[1]}>", svg, count=1)
    return Markup(drawn)  # noqa: S704 - matplotlib escapes its text


def short(name: str) -> str:
    """Return a name that fits beside an axis: its end, which tells layers apart."""
    return name if len(name) <= LONGEST_NAME else "..." + name[3 - LONGEST_NAME :]


def row_inches(rows_count: float) -> float:
    """Return the height of a figure with that many bars, in inches."""
    return 1.0 + 0.22 * rows_count
