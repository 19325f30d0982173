"""The house: this one follows its rules, and made-up ones that break one are caught."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Dict

import pytest

from clip2om.scripts.house import drawing, rules
from clip2om.scripts.house.imports import arrows, read_house, rooms
from tests.command import ROOT, refused, stage

# A house in order: every wing has a module, none has more than a fifth of them.
ORDER: Dict[str, str] = {
    "pipeline/card.py": "import os\n",
    "export/run.py": '"""A stage."""\nfrom clip2om.pipeline import card\n',
    "preprocess/run.py": "import clip2om.pipeline.card as card\n",
    "scripts/pages/page.py": "def draw():\n    from clip2om.pipeline.card import Card\n",
    "scripts/report/show.py": "from clip2om.scripts.pages.page import draw\nfrom clip2om.export.run import f\n",
    "clip2om/__init__.py": "from clip2om.scripts.report import show\n",
    "clip2om/plan.py": "from clip2om.scripts.report.show import f\nimport clip2om\n",
}


def _house(folder: Path, **changes: str) -> Path:
    files = {**ORDER, **{name.replace("__", "/") + ".py": text for name, text in changes.items()}}
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_this_house_has_no_circle_no_arrow_upward_and_no_crowded_room() -> None:
    done = stage("scripts.house")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-4:] == [
        "circles among modules: 0",
        "arrows upward: 0",
        "arrows between stages: 0",
        "rooms above a fifth of the modules: 0",
    ]


def test_every_tracked_module_of_this_house_is_counted_once() -> None:
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard", "*.py"], cwd=ROOT, text=True)
    names = [name for name in listed.splitlines() if (ROOT / name).is_file() and not name.startswith("tests/")]
    found = read_house(ROOT)
    # clip2om/__init__.py is of no room, setup.py of no house.
    assert len(found) == len(names) - 2
    assert sum(map(len, rooms(found).values())) == len(found)


def test_a_house_in_order(tmp_path: Path) -> None:
    house = read_house(_house(tmp_path))
    assert {name: sorted(module.imports) for name, module in house.items()} == {
        "pipeline.card": [],
        "export.run": ["pipeline.card"],
        "preprocess.run": ["pipeline.card"],
        "scripts.pages.page": ["pipeline.card"],
        "scripts.report.show": ["export.run", "scripts.pages.page"],
        "clip2om.plan": ["scripts.report.show"],
    }
    assert arrows(house)["scripts/report", "export"] == [("scripts.report.show", "export.run")]
    assert [rules.circles(house), rules.upward(house), rules.between_stages(house), rules.too_large(house)] == [[]] * 4
    done = stage("scripts.house", "--root", tmp_path)
    assert done.returncode == 0
    assert "scripts/report -> export, scripts/pages" in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("name", "text", "imported"),
    [
        ("pipeline__card", "from clip2om.export.run import x\n", "export.run"),
        ("export__run", "from clip2om.scripts.report import show\n", "scripts.report.show"),
        ("scripts__pages__page", "import clip2om.scripts.report.show\n", "scripts.report.show"),
        ("scripts__report__show", "def f():\n    from clip2om.plan import g\n", "clip2om.plan"),
        ("scripts__report__show", "def f():\n    from clip2om import plan\n", "clip2om.plan"),
    ],
)
def test_an_arrow_upward(tmp_path: Path, name: str, text: str, imported: str) -> None:
    line = f"{name.replace('__', '.')} imports {imported}"
    assert rules.upward(read_house(_house(tmp_path, **{name: text}))) == [line]
    done = stage("scripts.house", "--root", tmp_path, "--quiet")
    assert done.returncode == 1
    assert f"arrows upward: 1\n  {line}\n" in done.stdout
    assert "arrows upward: 1" in done.stderr


def test_an_arrow_between_stages(tmp_path: Path) -> None:
    house = read_house(_house(tmp_path, preprocess__run="from clip2om.export.run import x\n"))
    assert rules.between_stages(house) == ["preprocess.run imports export.run"]
    assert rules.upward(house) == []
    assert stage("scripts.house", "--root", tmp_path).returncode == 1


def test_a_circle_that_only_a_type_checker_walks(tmp_path: Path) -> None:
    types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from clip2om.pipeline.card import Card\n"
    changes = {"pipeline__card": "def f():\n    from clip2om.pipeline import check\n", "pipeline__check": types}
    house = read_house(_house(tmp_path, **changes))
    assert rules.circles(house) == ["pipeline.card and pipeline.check"]
    assert stage("scripts.house", "--root", tmp_path).returncode == 1


def test_a_circle_of_three_and_a_module_beside_it(tmp_path: Path) -> None:
    changes = {f"infer__{a}": f"from clip2om.infer.{b} import x\n" for a, b in ("ab", "bc", "ca", "da")}
    assert rules.circles(read_house(_house(tmp_path, **changes))) == ["infer.a and infer.b and infer.c"]


def test_a_room_above_a_fifth(tmp_path: Path) -> None:
    house = read_house(_house(tmp_path, pipeline__other="", convert__a="", infer__a="", postprocess__a=""))
    assert rules.too_large(house) == []
    house = read_house(_house(tmp_path, pipeline__third=""))
    assert rules.too_large(house) == ["pipeline holds 3 of 11 modules"]
    # A room below another one is a room of its own.
    house = read_house(_house(tmp_path, pipeline__inner__fourth="", pipeline__inner__fifth=""))
    assert rules.too_large(house) == ["pipeline holds 3 of 13 modules"]


def test_a_folder_without_rooms_and_a_file_that_is_not_python(tmp_path: Path) -> None:
    refused(stage("scripts.house", "--root", tmp_path), "holds no room")
    _house(tmp_path, infer__bad="def\n")
    refused(stage("scripts.house", "--root", tmp_path), "bad.py: is not Python", "line 1")


def test_drawing_goes_between_its_marks(tmp_path: Path) -> None:
    root, page = _house(tmp_path / "house"), tmp_path / "page.md"
    page.write_text(f"before\n{drawing.BEGIN}\nold\n{drawing.END}\nafter\n")
    assert stage("scripts.house", "--root", root, "--drawing", page).returncode == 0
    text = page.read_text()
    assert text.startswith(f"before\n{drawing.BEGIN}\n\n```mermaid\n") and text.endswith(f"\n{drawing.END}\nafter\n")
    assert "  scripts --> scripts_pages\n" in text and "\nold\n" not in text
    assert "| `scripts/report` |  | `export`, `scripts/pages` |" in text
    done = stage("scripts.house", "--root", root, "--drawing", page)
    assert "is up to date" in done.stderr
    page.write_text("no marks\n")
    refused(stage("scripts.house", "--root", root, "--drawing", page), "has no place for the drawing")


def test_the_page_of_this_house_is_current() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    written = text.partition(drawing.BEGIN)[2].partition(drawing.END)[0]
    todo = "run python -m scripts.house --drawing docs/architecture.md"
    assert written.strip() == drawing.section(read_house(ROOT)).strip(), todo
