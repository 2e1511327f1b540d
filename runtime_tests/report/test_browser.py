"""The page in a real Chromium, as wide as a desktop and as a phone, light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime_tests.web.browser import Browser

pytestmark = pytest.mark.runtimes

OVERFLOWING = """
return [...document.querySelectorAll('main *')]
    .filter((e) => !e.closest('.scroll > *') && e.getBoundingClientRect().right > innerWidth + 1)
    .map((e) => e.outerHTML.slice(0, 80))
"""
SMALLEST_TEXT = """
return Math.min(...[...document.querySelectorAll('svg text')].map((e) =>
    {
    const at = e.getScreenCTM();
    return parseFloat(getComputedStyle(e).fontSize) * Math.hypot(at.a, at.b);
}))
"""
# Captions stay in sight of tables that scroll.
CUT_CAPTIONS = """
return [...document.querySelectorAll('caption span')]
    .filter((e) => e.getBoundingClientRect().right > innerWidth).map((e) => e.textContent)
"""
# As small as print in a newspaper's charts.
LEAST_TEXT_PIXELS = 8


@pytest.mark.parametrize("name", ["page", "int8_page", "compared_page"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_complains_of_nothing(
    chromium: Browser, tmp_path: Path, scheme: str, name: str, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "report.html"
    path.write_text(request.getfixturevalue(name))
    if scheme == "dark":
        chromium.prefer_dark()
    chromium.open(path.as_uri())
    assert chromium.run("return document.documentElement.scrollWidth <= innerWidth")
    assert chromium.run(OVERFLOWING) == []
    assert chromium.run(CUT_CAPTIONS) == []
    assert chromium.run(SMALLEST_TEXT) >= LEAST_TEXT_PIXELS
    assert chromium.run("return performance.getEntriesByType('resource').length") == 0
    assert chromium.console() == []


def test_figures_have_names(chromium: Browser, page: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(page)
    chromium.open(path.as_uri())
    assert chromium.label("#masks ~ .grid svg").startswith("Masks of first:")
