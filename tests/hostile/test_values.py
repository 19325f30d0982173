"""Values without bounds: depth, digits, sizes, numbers that are none, and class lists of another order."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clip2om.export.neutral import read_arrays
from clip2om.infer.job import load_job
from clip2om.pipeline import cards
from clip2om.pipeline.artifact import digest_of, load_json, read_json, sha256_file
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import read_manifest, write_manifest
from clip2om.pipeline.records import CompiledRecord, Summary, read_record, write_record
from clip2om.postprocess.batches import from_manifest
from clip2om.postprocess.reading import read_scores
from tests.infer.cases import Case
from tests.postprocess.cases import CARD, make_batches, outputs, six_classes, write_own


@pytest.mark.parametrize("depth", [65, 1000, 100_000])
@pytest.mark.parametrize("signs", ["[]", "{}"])
def test_json_that_is_nested_deep(depth: int, signs: str, tmp_path: Path) -> None:
    begin, end = ("[", "]") if signs == "[]" else ('{"a":', "}")
    (tmp_path / "a.json").write_text(begin * depth + "1" + end * depth)
    with pytest.raises(RequestError, match="nested too deep"):
        load_json(tmp_path / "a.json", "")


@pytest.mark.parametrize("text", ['{"a": "\\ud800"}', '["\\udc00x"]', "1" * 5000, '{"a": %s}' % ("9" * 6000)])
def test_json_that_nothing_can_write_again(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(RequestError, match=r"surrogate|digits|expected"):
        read_json(tmp_path / "a.json", "batches", 2, "")


@pytest.mark.parametrize(
    "override",
    [
        "transform.std=[nan, nan, nan]",
        "transform.scale=nan",
        "transform.mean=[inf, 0.0, 0.0]",
        "transform.std=[1e999, 1.0, 1.0]",
        "dataset.frame_name='a{:1999999999d}.jpg'",
        "dataset.frame_name='a{:9999999d}.jpg'",
        "clips.count=1000000000",
        "clips.frames=1000000000",
        "input.batch=1000000000",
        "dataset.name='../../x'",
        "clips.max_clips=-1",
        "clips.seed=99999999999999999999999",
    ],
)
def test_cards_have_bounds(override: str) -> None:
    with pytest.raises(RequestError):
        cards.load("3d_resnet", [override])


@pytest.mark.parametrize(
    "text", [b"a = " + b"[" * 100_000, b"a = " + b"1" * 5000, b"\x80\x81", b"\0", b"a = 1\n" * 300_000]
)
def test_cards_that_are_none(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(text)
    with pytest.raises(RequestError):
        cards.load(str(tmp_path / "a.toml"))


def test_archives_are_not_unpacked_beyond_a_sane_size(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (1 << 26,)})
    with (
        zipfile.ZipFile(tmp_path / "w.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w") as member,
    ):
        member.write(stream.getvalue())
        for _ in range(256):
            member.write(bytes(1 << 20))
    with pytest.raises(RequestError, match="would unpack to"):
        read_arrays(tmp_path / "w.npz")


def test_a_header_that_claims_petabytes(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (1 << 50,)})
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("a.npy", stream.getvalue())
    with pytest.raises(RequestError, match="its header claims"):
        read_arrays(tmp_path / "w.npz")


def test_labels_of_another_order_are_refused_by_infer(tmp_path: Path) -> None:
    case = Case(tmp_path).build()
    record = read_record(case.compiled / "model.json", CompiledRecord, "")
    write_record(case.compiled / "model.json", replace(record, labels_digest=digest_of(["a", "b"])))
    write_manifest(case.batches, replace(read_manifest(case.batches), labels_digest=digest_of(["b", "a"])))
    with pytest.raises(RequestError, match="in another order"):
        load_job(case.compiled, case.batches)
    write_manifest(case.batches, replace(read_manifest(case.batches), labels_digest=digest_of(["a", "b"])))
    assert load_job(case.compiled, case.batches).groups


def test_labels_of_another_order_are_refused_by_postprocess(tmp_path: Path) -> None:
    manifest = make_batches(tmp_path / "batches", six_classes())
    write_own(tmp_path / "scores", tmp_path / "batches", outputs(manifest, six_classes()))
    batches = from_manifest(tmp_path / "batches", cards.load(CARD))
    path = tmp_path / "scores" / "summary.json"
    summary = read_record(path, Summary, "")
    write_record(path, replace(summary, labels_digest=digest_of(batches.labels[::-1])))
    with pytest.raises(RequestError, match="in another order"):
        read_scores(batches, tmp_path / "scores")
    write_record(path, replace(summary, labels_digest=digest_of(batches.labels)))
    assert read_scores(batches, tmp_path / "scores").files


def test_altered_batches_are_refused_though_scores_are_up_to_date(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    case = Case(tmp_path).build()
    assert case.infer() == 0
    path = case.batches / case.manifest().files[0].name
    digest = sha256_file(path)
    path.write_bytes(path.read_bytes()[::-1])
    assert sha256_file(path) != digest
    assert case.infer() == 2
    assert "preprocess again: it makes anew what was altered" in capsys.readouterr().err
    assert case.infer("--no-verify") == 0


def test_json_of_a_sane_size_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([[["\U0001f600 \\ud800"]]]))
    assert load_json(tmp_path / "a.json", "") == [[["\U0001f600 \\ud800"]]]
