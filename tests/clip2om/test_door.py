"""make as a door: what is typed reaches the front end as it was typed, runs nothing, and is known or refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Optional

import pytest

from clip2om.commands import COMMANDS, by_name
from tests.command import ROOT

_MAKEFILE = (ROOT / "Makefile").read_text()


def _make(*words: str, env: Optional[dict] = None) -> subprocess.CompletedProcess:
    base = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    given = {**base, "PYTHON": sys.executable, **(env or {})}
    return subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, timeout=60, env=given)


def _refused(done: subprocess.CompletedProcess, *words: str) -> str:
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in line
    return line


def test_the_makefile_is_a_door_and_no_program() -> None:
    lines = _MAKEFILE.splitlines()
    assert len(lines) < 80
    recipes = {line for line in lines if line.startswith("\t")}
    assert len(recipes) == 1 and "-m clip2om make" in recipes.pop()


def test_every_command_is_a_target_and_every_target_a_command() -> None:
    listed = set(" ".join(re.findall(r"^(?:RUN|BESIDE|DEVELOP) = (.*)$", _MAKEFILE, re.MULTILINE)).split())
    assert listed <= set(by_name())
    assert {command.make_name for command in COMMANDS} <= listed


def test_help_is_the_default_and_lists_every_target() -> None:
    shown = _make("help").stdout
    assert _make().stdout == shown
    for command in COMMANDS:
        assert re.search(rf"^  {command.make_name} ", shown, re.MULTILINE), command.make_name


def test_dry_run_of_make_is_readable() -> None:
    done = _make("-n", "accuracy", "MODEL=3d_resnet", "K=1")
    assert done.stdout.strip() == '"${PYTHON:-${VENV_PYTHON:-python3}}" -m clip2om make'


@pytest.mark.parametrize(("target", "meant"), [("accurcy", "accuracy"), ("rport", "report"), ("npu_selftest", "npu-")])
def test_a_target_that_is_none_is_refused_with_what_was_meant(target: str, meant: str) -> None:
    _refused(_make(target), f"there is no command '{target}'", f"did you mean {meant}")


@pytest.mark.parametrize("name", ["MODLE=3d_resnet_demo", "MIN_ACURACY=0.99", "MAXCLIPS=1"])
def test_a_misspelt_variable_is_refused_and_makes_nothing(name: str, tmp_path: Path) -> None:
    line = _refused(_make("demo", name, f"BUILD={tmp_path / 'build'}"), f"no variable {name.partition('=')[0]}")
    assert "did you mean" in line
    assert not (tmp_path / "build").exists()


# Each would leave the file behind if a shell, or make itself, ran it.
_ATTACKS = (
    "a';touch {0};'",
    'a";touch {0};"',
    "$(shell touch {0})",
    "$$(touch {0})",
    "`touch {0}`",
    "x;touch {0};y",
    "x\ntouch {0}\n",
    "x&touch {0}&",
    "it's",
    "a$b",
)
_VARIABLES = ("VIDEO_PATH", "CHECKPOINT", "ANNOTATION_PATH", "MODEL", "BUILD", "SET", "K", "LOOP", "BATCHES", "VIDEO")


@pytest.mark.parametrize("attack", _ATTACKS)
def test_no_value_is_run(attack: str, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    text = attack.format(mark)
    names = [name for name in _VARIABLES if name != "BUILD"]
    elsewhere = f"BUILD={tmp_path}/build"
    calls = (
        ([elsewhere, *(f"{name}={text}" for name in names)], None),
        ([elsewhere], dict.fromkeys(names, text)),
        ([f"BUILD={text}"], None),
        ([], {"BUILD": text}),
    )
    for words, env in calls:
        done = _make("predict", *words, env=env)
        assert not mark.exists(), (words, env)
        assert "Traceback" not in done.stderr and "syntax error" not in done.stderr.lower(), done.stderr


def test_a_value_reaches_the_front_end_as_it_was_typed(tmp_path: Path) -> None:
    for name in ("it's", "a$b", 'a "b" c', "$(HOME)", "x;y", "häß 视频"):
        done = _make("explain", f"LOG={tmp_path / name}")
        assert name in done.stderr, (name, done.stderr)


def test_a_variable_with_no_use_is_told() -> None:
    done = _make("card", "TIMELINE=1")
    assert done.returncode == 0
    assert "TIMELINE does nothing in make card" in done.stderr


def test_clip2om_says_what_make_says() -> None:
    command = [sys.executable, "-m", "clip2om"]
    done = subprocess.run([*command, "help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "npu-selftest" in done.stdout
    done = subprocess.run([*command, "accurcy"], cwd=ROOT, capture_output=True, text=True)
    _refused(done, "did you mean accuracy?")
    assert subprocess.run([*command, "--version"], cwd=ROOT, capture_output=True, text=True).stdout.startswith(
        "clip2om"
    )


def test_completion_knows_commands_and_options() -> None:
    script = subprocess.run(
        [sys.executable, "-m", "clip2om", "completion", "bash"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    probe = (
        "COMP_WORDS=(clip2om acc); COMP_CWORD=1; _clip2om; echo ${COMPREPLY[@]}; "
        "COMP_WORDS=(clip2om accuracy --min); COMP_CWORD=2; _clip2om; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(["bash", "-c", script + probe], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["accuracy", "--min-accuracy"], done.stderr


def test_the_page_of_commands_is_current() -> None:
    from clip2om import texts

    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == texts.page(), "make docs"
