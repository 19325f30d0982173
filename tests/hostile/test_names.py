"""Names from our own sidecars are input: nothing outside the folder that was given is written, read or removed."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any, Callable

import pytest

from clip2om.infer.journal import Journal as ScoreJournal
from clip2om.pipeline.artifact import folder_lock, remove_partials
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import read_manifest
from clip2om.pipeline.records import Summary, read_record
from clip2om.preprocess.__main__ import main as preprocess
from tests.postprocess.cases import make_batches, outputs, six_classes, write_own
from tests.preprocess.conftest import SmallSet

BAD_NAMES = ("../precious", "/etc/hostname", "..", ".", "", "a/b.bin", "a\\b.bin", "a\0.bin", "a\n.bin", "x" * 256)


@pytest.mark.parametrize("line", ["list", "done"])
def test_a_journal_deletes_nothing_outside(line: str, small: SmallSet, tmp_path: Path) -> None:
    precious = tmp_path / "precious.bin"
    precious.write_text("dear")
    output = tmp_path / "out"
    output.mkdir()
    (output / "notes.txt").write_text("mine")
    for name in ("../precious.bin", str(precious), "notes.txt"):
        done = {"name": name, "key": "k", "sha256": "0" * 64, "versions": {}}
        text = json.dumps([name]) if line == "list" else f"[]\n{json.dumps(done)}"
        (output / ".progress.jsonl").write_text(text + "\n")
        assert preprocess([str(word) for word in small.args("--output", output, "--workers", 1)]) == 0
        assert precious.read_text() == "dear"
        assert (output / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_journal_of_scores_holds_plain_names(name: str, tmp_path: Path) -> None:
    identity = {"model_sha256": "", "engine": "", "engine_version": "", "precision": ""}
    entry = {"key": "k", "files": [{"name": name, "source": "a.bin", "index": 0, "sha256": ""}]}
    (tmp_path / ".progress.jsonl").write_text(f"{json.dumps(identity)}\n{json.dumps(entry)}\n")
    assert ScoreJournal(tmp_path).read() is None


def _change(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_manifest_holds_plain_names(name: str, tmp_path: Path) -> None:
    make_batches(tmp_path, six_classes())
    _change(tmp_path / "manifest.json", lambda content: content["files"][0].update(name=name))
    with pytest.raises(RequestError, match=r"files\[0\].name is .*expected a plain file name"):
        read_manifest(tmp_path)


def test_batches_do_not_share_a_result(tmp_path: Path) -> None:
    make_batches(tmp_path, six_classes())
    _change(tmp_path / "manifest.json", lambda content: content["files"][1].update(name="batch_00000.dat"))
    with pytest.raises(RequestError, match="has the name without ending of an entry before it"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("key", ["name", "source"])
def test_a_summary_holds_plain_names(key: str, name: str, tmp_path: Path) -> None:
    manifest = make_batches(tmp_path / "batches", six_classes())
    write_own(tmp_path / "scores", tmp_path / "batches", outputs(manifest, six_classes()))
    path = tmp_path / "scores" / "summary.json"
    _change(path, lambda content: content["files"][0].update({key: name}))
    with pytest.raises(RequestError, match="expected a plain file name"):
        read_record(path, Summary, "")


def test_results_are_named_after_their_batches(tmp_path: Path) -> None:
    manifest = make_batches(tmp_path / "batches", six_classes())
    write_own(tmp_path / "scores", tmp_path / "batches", outputs(manifest, six_classes()))
    path = tmp_path / "scores" / "summary.json"

    def exchange(content: Any) -> None:
        first, second = content["files"][:2]
        first["source"], second["source"] = second["source"], first["source"]

    _change(path, exchange)
    with pytest.raises(RequestError, match="expected a result named after its batch"):
        read_record(path, Summary, "")


def test_a_lock_that_is_a_link_creates_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RequestError, match="no file of ours"), folder_lock(tmp_path / "out"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_folders_are_no_leftovers_of_ours(tmp_path: Path) -> None:
    (tmp_path / ".partial-folder").mkdir()
    (tmp_path / ".partial-file").write_text("")
    (tmp_path / ".partial-link").symlink_to(tmp_path)
    remove_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".partial-folder"]


@pytest.mark.parametrize(
    "text", ["\u202eevil", "\u2066x\u2069", "a\u2028b", "\u200fz", "\ufeffq", "\x9b31m", "\x1b[31m"]
)
def test_no_name_turns_or_ends_a_line(text: str) -> None:
    out = StringIO()
    console = Console("stage", out=out, err=out)
    console.table(["class", "top-1"], [[text, "1"], ["x" * 5000, "2"]])
    console.warn(f"skipped {text}")
    shown = out.getvalue()
    assert all(sign.isprintable() for sign in shown.replace("\n", ""))
    assert max(map(len, shown.split("\n"))) < 80


def test_error_lines_are_bounded() -> None:
    line = RequestError("v" * 5000, "w" * 5000, "t" * 5000).line()
    assert len(line) < 1700 and line.startswith("www") and line.endswith("ttt")
