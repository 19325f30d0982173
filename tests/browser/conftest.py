"""Pages to look at, made once, and browsers to look with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Dict, Iterator

import numpy as np
import pytest

from clip2om.scripts.compare import __main__ as compare
from clip2om.scripts.drift.figures import Drift, LayerDrift, Limits
from clip2om.scripts.drift.page import drift_page
from clip2om.scripts.pages.render import Page, render
from clip2om.scripts.report import __main__ as report
from tests.browser.chromium import Browser, programs
from tests.scripts.report_cases import Case

HOSTILE = "<img src=x onerror=document.title='broken'>"
SCRIPT = "</script><script>document.title='broken'</script>"


def pytest_collection_modifyitems(items: list) -> None:
    """Leave the tests of this folder out, with a reason, where there is no browser."""
    if programs() is None:
        reason = "no Chromium with chromedriver on this system: make browser installs them (root, apt-get)"
        for item in items:
            if Path(__file__).parent in Path(item.path).parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Path]:
    """Make a report, a comparison and a drift with hostile names, and a report of 400 classes and 20,000 videos."""
    root = tmp_path_factory.mktemp("pages")
    labels = [HOSTILE, "walk", f"run {SCRIPT}", "a & b"]
    case = Case(root / "hostile", labels=labels, ids=[f"{number:02d} {HOSTILE}{SCRIPT}" for number in range(40)])
    # The slash of the hostile names makes folders of its own below the frames; that harms nobody.
    case.frames()
    a, b = case.run("a", case.logits(lead=3.0)), case.run("b", case.logits(seed=1, lead=2.0))
    large = Case(root / "large", classes=400, videos=20_000)
    latency = np.random.default_rng(0).gamma(9, 2, 4000).tolist()
    many = large.run("a", large.logits(lead=4.0), latency=latency, stored=False)
    assert report.main(["--model", str(case.card), "--results", str(a), "--quiet"]) == 0
    assert report.main(["--model", str(large.card), "--results", str(many), "--quiet"]) == 0
    output = str(root / "compared")
    assert compare.main([str(a), str(b), "--model", str(case.card), "--output", output, "--quiet"]) == 0
    (root / "drift.html").write_text(render(_drift()), encoding="utf-8")
    made = {"report": a / "report.html", "large": many / "report.html", "compare": root / "compared" / "compare.html"}
    return {**made, "drift": root / "drift.html"}


def _drift() -> Page:
    """Return the page of 200 layers, one of which has a hostile name and is beyond all measure."""
    errors = [0.0, *np.geomspace(1e-7, 0.2, 198).tolist(), float("nan")]
    layers = [
        LayerDrift(n, f"/layer{n}/Conv", "Conv", 1 - error, error, error, error / 1e-5)
        for n, error in enumerate(errors, 1)
    ]
    layers[99] = replace(layers[99], name=f"{HOSTILE}{SCRIPT}", relative=0.5)
    return drift_page("made_up", f"dumps/{HOSTILE}", 10, Drift(layers, ["/lost"]), Limits())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a browser for English readers."""
    opened = Browser()
    yield opened
    opened.close()
