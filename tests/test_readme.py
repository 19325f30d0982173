"""What the README tells people to type exists, and both languages tell the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import ROOT

_PAGES = ["README.md", "README.zh-CN.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def _commands(page: str) -> list:
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    return re.findall(r"python3? -m ((?:scripts\.)?\w+)([^`\n|#]*)", text)


@pytest.mark.parametrize("page", _PAGES)
def test_options_in_the_documents_exist(page: str) -> None:
    for module, rest in _commands(page):
        if module == "ais_bench":
            continue
        words = [word for word in rest.split() if re.fullmatch(r"[a-z0-9]+", word)][:1]
        sub = words if module == "scripts.annotate" else []
        done = subprocess.run([sys.executable, "-m", module, *sub, "--help"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, (page, module, done.stderr)
        for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", rest):
            assert option in done.stdout, (page, module, option)


@pytest.mark.parametrize("page", _PAGES)
def test_make_targets_and_variables_in_the_documents_exist(page: str) -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    for call in re.findall(r"(?:^    |`)make ([^`\n#]*)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE):
        for word in call.split():
            name = word.partition("=")[0]
            assert re.search(rf"\b{re.escape(name)}\b", listed), (page, call, name)


@pytest.mark.parametrize("page", _PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        assert ((ROOT / page).parent / target).exists(), (page, target)


def test_both_languages_show_the_same_commands_and_figures() -> None:
    english, chinese = ((ROOT / page).read_text(encoding="utf-8") for page in _PAGES[:2])
    assert _commands("README.md") == _commands("README.zh-CN.md")
    for figure in re.findall(r"\d+\.\d+", english):
        assert figure in chinese, figure
    assert len(re.findall(r"\d+\.\d+", english)) > 5


def test_first_screen_holds_the_two_commands() -> None:
    head = Path(ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:12]
    assert any(line.startswith("    make demo") for line in head)
    assert any(line.startswith("    make test") for line in head)
