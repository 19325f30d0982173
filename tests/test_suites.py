"""The run over all suites: what it says of them, and that a suite that fails or cannot run fails the whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests import suites
from tests.command import ROOT

_MAKE = """#!/bin/sh
for word; do case "$word" in test-*) name=${word#test-} ;; esac; done
case "$name" in
  paddle) exit 2 ;;
  tensorflow) counts='failures="1" skipped="0"'; cases='<testcase><failure message="no"/></testcase><testcase/>' ;;
  *) counts='failures="0" skipped="1"'; cases='<testcase/><testcase><skipped message="no browser"/></testcase>' ;;
esac
suite='<testsuites><testsuite tests="2" errors="0" time="3.4" %s>%s</testsuite></testsuites>'
printf "$suite" "$counts" "$cases" > "$REPORTS/$name.xml"
test "$name" != tensorflow
"""


def _run(tmp_path: Path, *names: str) -> subprocess.CompletedProcess:
    make = tmp_path / "make"
    make.write_text(_MAKE)
    make.chmod(0o755)
    command = [sys.executable, "-m", "tests.suites", "--make", str(make), "--reports", str(tmp_path), *names]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={"REPORTS": str(tmp_path)})


def test_last_lines_tell_what_ran_and_what_was_left_out(tmp_path: Path) -> None:
    done = _run(tmp_path, "pytorch", "mindspore")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-7:] == [
        "pytorch: 1 passed, 0 failed, 1 skipped in 3 s",
        "mindspore: 1 passed, 0 failed, 1 skipped in 3 s",
        "  skipped 1 x no browser",
        "  skipped 1 x no browser",
        "left out: tensorflow (make test-tensorflow)",
        "left out: paddle (make test-paddle)",
        "2 passed, 0 failed, 2 skipped",
    ]


def test_a_failed_suite_and_one_that_did_not_run_fail_the_whole(tmp_path: Path) -> None:
    for name in ("tensorflow", "paddle"):
        assert _run(tmp_path, "pytorch", name).returncode == 1
    done = _run(tmp_path)
    assert "tensorflow: 1 passed, 1 failed, 0 skipped in 3 s - FAILED\n" in done.stdout
    assert "paddle: NOT RUN (make ended with 2: see above)\nmindspore: 1 passed" in done.stdout
    assert done.stdout.endswith("left out: paddle (make test-paddle)\n3 passed, 1 failed, 2 skipped\n")


def test_the_report_of_an_earlier_run_does_not_vouch_for_this_one(tmp_path: Path) -> None:
    (tmp_path / "paddle.xml").write_text('<testsuites><testsuite tests="9"/></testsuites>')
    assert "paddle: NOT RUN" in _run(tmp_path, "paddle").stdout


def test_an_unknown_suite_is_refused(tmp_path: Path) -> None:
    done = _run(tmp_path, "jax")
    assert done.returncode == 2
    assert "no suite called 'jax', choose from pytorch, tensorflow, paddle, mindspore" in done.stderr


def test_quick_tests_are_there_and_of_every_room() -> None:
    assert [name for name in suites.QUICK if not (ROOT / name).exists()] == []
    rooms = {"pipeline", "export", "preprocess", "convert", "infer", "postprocess", "scripts"}
    assert {Path(name).parts[1] for name in suites.QUICK} >= rooms


def test_every_framework_has_a_folder_and_a_make_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for name in suites.SUITES:
        assert f"test-{name}" in makefile
