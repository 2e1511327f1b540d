"""The page: it says what was found, is whole by itself, and holds no markup but its own."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from legoexport.measure.profile import Profile, Share
from legoexport.report import page as page_module
from legoexport.report.facts import Facts
from legoexport.report.figures.banks import MOST_PIXELS, PIXELS_BUDGET, side_pixels, tile
from legoexport.report.figures.latency import layer_bars, whole_bar
from legoexport.report.figures.precision import draw_precision
from legoexport.report.figures.style import VARIABLES
from legoexport.report.page import MOST_DRAWN, drawn_layers, render, verdict
from legoexport.report.tables import summary
from runtime_tests.report.conftest import COST, HOSTILE, IMAGES

MOST_BYTES = 3_000_000
# WCAG 2.2: text (1.4.3), and graphics that are needed to understand (1.4.11).
TEXT_CONTRAST, GRAPHIC_CONTRAST = 4.5, 3.0
TEXTS = ("ink", "soft", "good", "bad", "link")
GRAPHICS = ("transform", "merge", "movement", "weights", "other", "limit")
STYLE = Path(page_module.__file__).parent / "template" / "style.css"


class Elements(HTMLParser):
    """Elements with their attributes, and the text outside of styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="session")
def elements(page: str) -> Elements:
    return Elements(page)


def test_the_verdict_counts_and_measures(facts: Facts) -> None:
    totals, twin = facts.inventory.totals, facts.inventory.dense_twin
    said = verdict(facts)
    assert said.startswith("Proved")
    assert f"{10_000_000 / facts.subject.size_bytes:.2f}x smaller" in said
    assert f"{twin.counted_macs / totals.counted_macs:.2f}x fewer multiply-adds" in said
    assert "2.00x the speed [1.75, 2.25]" in said


def test_without_a_dense_network_it_is_counted(alone: Facts) -> None:
    assert "the speed" not in verdict(alone)
    assert "counted, not measured" in summary(alone).note


def test_a_file_in_int8_claims_its_integers_and_shows_what_they_cost(facts: Facts) -> None:
    int8 = replace(facts, subject=replace(facts.subject, precision="int8"))
    assert verdict(int8).startswith("Proved: every integer is right")
    drawn = draw_precision((COST,), "precision", "title")
    assert drawn.description == "1 of 1 layers compute in int8; the least SQNR is 38.5 dB"


def test_a_layer_stands_beside_its_dense_convolution() -> None:
    shares = (Share("a", "transform", 1.0), Share("a", "merge", 0.5), Share("other", "", 0.25))
    own = Profile(1.75, (), shares)
    dense = Profile(5.0, (), (Share("other", "", 5.0),), (Share("a", "", 4.0),))
    a, outside = layer_bars(own, dense)
    assert (a.parts, a.dense_ms) == ({"transform": 1.0, "merge": 0.5}, 4.0)
    assert (outside.parts, outside.dense_ms) == ({"": 0.25}, 1.0)
    assert whole_bar(own, dense).parts == {"transform": 1.0, "merge": 0.5, "": 0.25}
    assert [bar.dense_ms for bar in layer_bars(own, None)] == [None, None]


def test_every_layer_is_drawn_and_listed(facts: Facts, elements: Elements) -> None:
    names = [one.audit.layer for one in facts.layers]
    labels = [one["aria-label"] or "" for one in elements.named("svg")]
    for name in names:
        assert sum(label.startswith(f"Masks of {name}:") for label in labels) == 1
        assert sum(label.startswith(f"Bank of {name}:") for label in labels) == 1
    assert len(labels) == 2 * len(names) + 3
    assert facts.rights is not None
    right = facts.rights.model_count
    assert f"{IMAGES} labelled images; {right} are right." in elements.text
    assert f"{right / IMAGES:.2%}" in elements.text


def test_uses_are_counted_from_the_tables(facts: Facts) -> None:
    for layer in facts.layers:
        frozen = layer.frozen
        for (i, j), count in np.ndenumerate(layer.uses):
            assert count == sum(int(chosen) == j for chosen in frozen.index[i])


def test_it_loads_nothing(page: str, elements: Elements) -> None:
    assert "http:" not in page
    assert "https:" not in page
    assert not re.search(r"@import|url\((?!#)", page)
    for _, attributes in elements.found:
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))


def test_names_stay_text(page: str, elements: Elements) -> None:
    assert elements.named("script") == []
    assert "<script" not in page
    assert elements.text.count(HOSTILE) >= 10 + 3  # classes; heading, files, images
    assert not any(name.startswith("on") for _, found in elements.found for name in found)


def test_a_name_that_is_no_text_is_replaced(alone: Facts) -> None:
    model = os.fsdecode(b"\xc3\xb6 \xff.onnx")
    content = render(replace(alone, subject=replace(alone.subject, model=model)))
    assert "\xf6 \N{REPLACEMENT CHARACTER}.onnx" in content.decode()


def test_it_is_small(page: str) -> None:
    assert len(page.encode()) < MOST_BYTES


def test_a_deep_network_keeps_to_the_same_pixels() -> None:
    assert side_pixels(3) == MOST_PIXELS
    for layers_count in (1, 13, 50, 200):
        assert side_pixels(layers_count) ** 2 * layers_count <= PIXELS_BUDGET


def test_of_very_many_layers_the_least_even_are_drawn(facts: Facts) -> None:
    (layer, *_) = facts.layers
    many = [
        replace(layer, audit=replace(layer.audit, layer=f"l{at}", evenness_ratio=at % 100 / 100))
        for at in range(2 * MOST_DRAWN)
    ]
    drawn = drawn_layers(many)
    assert len(drawn) == MOST_DRAWN
    left = [one.audit.evenness_ratio for one in many if one not in drawn]
    assert max(one.audit.evenness_ratio for one in drawn) <= min(left)
    assert [many.index(one) for one in drawn] == sorted(many.index(one) for one in drawn)
    assert drawn_layers(facts.layers) == facts.layers


def test_tiles_are_the_weights() -> None:
    lego = np.random.default_rng(0).standard_normal((3, 2, 3, 3))
    tiles = tile(lego, 100)
    assert tiles.shape == (12, 8)
    np.testing.assert_array_equal(tiles[4:7, 4:7], lego[1, 1])
    assert np.isnan(tiles[3]).all()


def test_a_screen_reader_finds_its_way(elements: Elements) -> None:
    assert [one["lang"] for one in elements.named("html")] == ["en"]
    assert len(elements.named("h1")) == 1
    assert len(elements.named("caption")) == len(elements.named("table"))
    assert all(one["scope"] in ("col", "row") for one in elements.named("th"))
    assert all(one["role"] == "img" and one["aria-label"] for one in elements.named("svg"))


def test_identifiers_are_unique_and_meet_their_references(page: str, elements: Elements) -> None:
    identifiers = [found["id"] for _, found in elements.found if "id" in found]
    assert len(identifiers) == len(set(identifiers))
    named = re.findall(r'(?:url\(#|href="#|aria-labelledby=")([^")]+)', page)
    assert set(named) <= set(identifiers)


def test_stand_in_colours_are_gone(page: str) -> None:
    assert not any(colour in page for colour in VARIABLES)
    style = STYLE.read_text()
    for variable in VARIABLES.values():
        assert f"--{variable}:" in style


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_contrast(scheme: int) -> None:
    block = re.findall(r":root \{(.*?)\}", STYLE.read_text(), re.DOTALL)[scheme]
    colours = dict(re.findall(r"--(\w+): (#\w{6});", block))
    for names, least in ((TEXTS, TEXT_CONTRAST), (GRAPHICS, GRAPHIC_CONTRAST)):
        for name in names:
            assert contrast(colours[name], colours["paper"]) >= least
            assert contrast(colours[name], colours["panel"]) >= least or name not in TEXTS


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    """WCAG's relative luminance of ``#rrggbb``."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
