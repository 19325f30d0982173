"""What killed runs leave beside pages, batches that were altered behind a script's back, a library that cannot load."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Callable

import pytest

from clip2om.pipeline.artifact import PARTIAL_PREFIX
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import read_manifest
from clip2om.preprocess.containers import import_av
from clip2om.scripts.compare import __main__ as compare
from clip2om.scripts.drift.__main__ import _feed
from clip2om.scripts.parity.clips import first_clips
from clip2om.scripts.report import __main__ as report
from tests.infer.cases import Case as InferCase
from tests.scripts.report_cases import Case


def _left(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{PARTIAL_PREFIX}killed.html"
    path.write_text("<html>half of a")
    return path


def test_pages_clear_away_what_a_kill_left(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.frames()
    a, b = case.run("a", case.logits()), case.run("b", case.logits(seed=1))
    left = [_left(a), _left(tmp_path / "compared")]
    assert report.main(["--model", str(case.card), "--results", str(a), "--strips", "0", "--quiet"]) == 0
    words = [str(a), str(b), "--model", str(case.card), "--output", str(tmp_path / "compared"), "--strips", "0"]
    assert compare.main(words) == 0
    assert [path.exists() for path in left] == [False, False]
    assert (a / "report.html").is_file() and (tmp_path / "compared" / "compare.html").is_file()


@pytest.fixture
def batches(tmp_path: Path) -> Path:
    return InferCase(tmp_path).build().batches


def test_drift_reads_no_altered_batch(batches: Path) -> None:
    path = batches / read_manifest(batches).files[0].name
    assert _feed(batches, 1).items
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(RequestError, match="the manifest says"):
        _feed(batches, 1)


def test_parity_takes_no_altered_batch_and_mends_its_own(batches: Path, tmp_path: Path) -> None:
    """Its links lead to what was there; batches that were made anew are other files."""
    path = batches / read_manifest(batches).files[0].name
    good = path.read_bytes()
    first_clips(batches, tmp_path / "some", 1)
    path.write_bytes(good[::-1])
    with pytest.raises(RequestError, match="the manifest says"):
        first_clips(batches, tmp_path / "some", 1)
    path.unlink()
    path.write_bytes(good)
    first_clips(batches, tmp_path / "some", 1)
    assert (tmp_path / "some" / path.name).read_bytes() == good


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("No module named 'av'", name="av"), "is not installed"),
        (ModuleNotFoundError("No module named 'av.core'", name="av.core"), r"cannot be loaded \(No module named 'av.c"),
        (ImportError("libav.so: failed to map segment", name="av"), r"cannot be loaded \(libav.so: failed to map"),
        (OSError(24, "Too many open files"), r"cannot be loaded \(.*Too many open files"),
    ],
)
def test_a_library_that_cannot_be_loaded_is_installed(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain: Callable = builtins.__import__

    def refuse(name: str, *rest: object) -> object:
        if name == "av":
            raise error
        return plain(name, *rest)

    import_av.cache_clear()
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(RequestError, match=words):
        import_av()
    monkeypatch.undo()
    import_av.cache_clear()
    assert import_av()
