"""docs/models.md says what the cards say, and its tutorial can be followed to the letter."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from clip2om.pipeline import cards
from clip2om.scripts.model_docs import __main__ as model_docs
from tests.command import ROOT, refused, stage

PAGE = ROOT / "docs" / "models.md"


def test_page_is_up_to_date() -> None:
    done = stage("scripts.model_docs", "--check")
    assert done.returncode == 0, f"run make docs: {done.stderr}"


def test_every_card_has_a_section_with_its_figures_and_commands() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(cards.available()) >= 10
    for name in cards.available():
        card = cards.load(name)
        section = text.partition(f"### `{name}`")[2].partition("\n### ")[0]
        assert f"`{card.model.checkpoint}`: {card.model.origin}" in section, name
        assert f"    make {'demo' if name == '3d_resnet_demo' else ''}" in section, name
        assert f"| [`{name}`](#{name}) |" in text
        for figure in card.published:
            assert f"{figure.value:g}" in section or f"{figure.value * 100:.5g} %" in section
            assert figure.hardware in section and figure.source in section


def test_every_key_of_a_card_is_explained() -> None:
    text = PAGE.read_text(encoding="utf-8")
    table = text.partition("## What a card says")[2].partition("\n## ")[0]
    for section in ("model", "input", "clips", "transform", "dataset", "export", "atc", "scores"):
        assert f"`[{section}]`" in table
        default = getattr(cards.load("3d_resnet"), section)
        for key in vars(default):
            assert f"`{key}`" in table or f"`[{section}.{key}]`" in table, f"{section}.{key}"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "models.md"
    path.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    return path


def test_stale_page_is_refused_and_mended(page: Path) -> None:
    whole = page.read_text(encoding="utf-8")
    page.write_text(whole.replace("less (104, 117, 128)", "less (0, 0, 0)"), encoding="utf-8")
    done = stage("scripts.model_docs", "--page", page, "--check")
    assert done.returncode == 1 and "says something else than the model cards; make docs" in done.stderr
    assert stage("scripts.model_docs", "--page", page).returncode == 0
    assert page.read_text(encoding="utf-8") == whole


def test_what_is_written_by_hand_stays(page: Path) -> None:
    whole = page.read_text(encoding="utf-8")
    page.write_text(f"My own head.\n{whole}My own tail.\n", encoding="utf-8")
    assert stage("scripts.model_docs", "--page", page).returncode == 0
    assert page.read_text(encoding="utf-8") == f"My own head.\n{whole}My own tail.\n"


def test_page_without_marks_is_refused(page: Path, tmp_path: Path) -> None:
    page.write_text(page.read_text(encoding="utf-8").replace(model_docs.END, ""), encoding="utf-8")
    refused(stage("scripts.model_docs", "--page", page), "does not hold the two lines", "put them in")
    refused(stage("scripts.model_docs", "--page", tmp_path / "none.md"), "none.md: no such file")


def test_comment_of_a_card_becomes_text_and_commands(tmp_path: Path) -> None:
    path = tmp_path / "card.toml"
    path.write_text(
        '# Text <of> two\n# lines.\n#   make om SOC=x\n#   SET=a      (and back)\n# More.\ntitle = "t"\n# not this\n'
    )
    assert model_docs.comment(path) == [
        *("Text &lt;of> two", "lines.", "", "    make om SOC=x", "    SET=a    # and back", "", "More."),
    ]


class Tutorial:
    """A copy of the project in which the page's last section is followed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        left_out = shutil.ignore_patterns(
            ".git", ".venv", "build", "tests", "data", "checkpoints", "__pycache__", ".*_cache"
        )
        shutil.copytree(ROOT, root, ignore=left_out)
        text = PAGE.read_text(encoding="utf-8").partition("## Adding a model of your own")[2]
        self.steps, self.network = text.split("### A network that is not there yet")

    def commands(self) -> List[str]:
        """Return the indented commands of the steps, in order."""
        return re.findall(r"^    (\S.*)$", re.sub(r"```.*?```", "", self.steps, flags=re.DOTALL), re.MULTILINE)

    def block(self, text: str, language: str) -> str:
        """Return the one fenced block of a language."""
        (found,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
        return str(found)

    def run(self, command: str, code: int = 0) -> str:
        """Run a command as the page has it, on this interpreter instead of the environments that make builds."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        environment["PYTHON"] = sys.executable
        done = subprocess.run(
            command, shell=True, cwd=self.root, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == code, (command, done.stdout, done.stderr)
        return done.stdout + done.stderr


@pytest.mark.slow
def test_every_command_of_the_tutorial_runs(tmp_path: Path) -> None:
    tutorial = Tutorial(tmp_path / "project")
    demo, *rest = tutorial.commands()
    assert demo == "make demo" and len(rest) == 7
    tutorial.run(f"{sys.executable} -m scripts.demo_dataset build/demo_data --subset validation --videos-per-class 3")
    (tutorial.root / "models" / "mine.toml").write_text(tutorial.block(tutorial.steps, "toml"))
    for command in rest:
        if "SOC=Ascend310P3" not in command or "DRY_RUN=1" in command:
            said = tutorial.run(command)
            if command.startswith("make accuracy"):
                assert "24 videos" in said or "/24" in said
            if command.startswith("make parity"):
                assert "PASSED" in said
            if "DRY_RUN" in command:
                assert "atc --model=" in said
    tutorial.run(f"{sys.executable} -m scripts.model_docs")
    assert "### `mine`" in (tutorial.root / "docs" / "models.md").read_text()


@pytest.mark.slow
def test_network_of_the_tutorial_is_exported(tmp_path: Path) -> None:
    tutorial = Tutorial(tmp_path / "project")
    (tutorial.root / "models" / "mine.toml").write_text(tutorial.block(tutorial.steps, "toml"))
    (tutorial.root / "export/pytorch/networks/tiny.py").write_text(tutorial.block(tutorial.network, "python"))
    shutil.copy(ROOT / "models/labels/motions.txt", tutorial.root / "models/labels/mine.txt")
    tiny = "--set model.network=tiny --set model.arguments={}"
    code = (
        "import torch; from clip2om.export.pytorch.networks import build_network; "
        "from clip2om.pipeline import cards; "
        "entries = ['model.network=tiny', 'model.arguments={}']; "
        "torch.save(build_network(cards.load('mine', entries)).state_dict(), 'tiny.pth')"
    )
    tutorial.run(f'{sys.executable} -c "{code}"')
    said = tutorial.run(f"{sys.executable} -m export --model mine {tiny} --checkpoint tiny.pth --output graph")
    assert "parity  PyTorch eager" in said
    said = tutorial.run(
        f"{sys.executable} -m export --model mine {tiny} --set model.classes=5 --checkpoint tiny.pth --output graph", 2
    )
    assert "fc.weight is 8x16, expected 5x16" in said and "Traceback" not in said
