"""Names that turn the direction of writing, command terminals or are very long: shown as what they are, in the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clip2om.scripts.compare import __main__ as compare
from clip2om.scripts.report import __main__ as report
from tests.browser.chromium import Browser
from tests.scripts.report_cases import Case

LABELS = ["\u202egnp.exe", "x" * 400, "a\u2028b\u2066c", "\x1b[31mred\x07", "跑" * 150]
_ODD = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list:
    root = tmp_path_factory.mktemp("odd")
    ids = [f"{number} \u202e{'long' * 60}\u2067\x9b" for number in range(10)]
    case = Case(root, labels=LABELS, ids=ids)
    a, b = case.run("a", case.logits(lead=1.0)), case.run("b", case.logits(seed=1, lead=1.0))
    words = ["--model", str(case.card), "--quiet"]
    assert report.main([*words, "--results", str(a)]) == 0
    assert compare.main([str(a), str(b), *words, "--output", str(root / "compared")]) == 0
    return [a / "report.html", root / "compared" / "compare.html"]


@pytest.mark.parametrize("number", [0, 1])
def test_odd_names_are_spelled_out_and_the_layout_holds(browser: Browser, made: list, number: int) -> None:
    page: Path = made[number]
    for width in (1280, 390):
        browser.size(width, 900)
        browser.open(page)
        text = browser.run(
            "return document.body.textContent + [...document.querySelectorAll('[title]')].map(n => n.title)"
        )
        scripts = browser.run("return [...document.scripts].map((node) => node.textContent).join('')")
        shown = text.replace(scripts, "") if scripts in text else browser.run("return document.body.innerText")
        assert _ODD.findall(shown) == []
        assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth"), width
        assert browser.messages() == []
    assert "\\u202e" in browser.run("return document.body.innerText")
