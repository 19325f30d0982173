import os
from pathlib import Path

import pytest

from clip2om.pipeline import artifact
from clip2om.pipeline.errors import RequestError


def test_replacing_keeps_the_old_file_when_the_writer_fails(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), artifact.replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert [(item.name, item.read_text()) for item in tmp_path.iterdir()] == [("model.onnx", "old")]


def test_replacing_keeps_suffix_and_makes_a_readable_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "model.xml"
    with artifact.replacing(path) as temporary:
        assert (temporary.suffix, temporary.parent) == (".xml", path.parent)
        temporary.write_text("new")
    assert path.read_text() == "new"
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert artifact.digest_of({"a": 1, "b": [2.5, "ü"]}) == artifact.digest_of({"b": [2.5, "ü"], "a": 1})
    assert artifact.digest_of({"a": 1}) != artifact.digest_of({"a": 2})


def test_file_digest(tmp_path: Path) -> None:
    (tmp_path / "abc").write_text("abc")
    # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert artifact.sha256_file(tmp_path / "abc") == expected


def test_json_states_its_kind_and_version(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    artifact.write_json(path, "graph", 1, {"x": [1]})
    assert artifact.read_json(path, "graph", 1, "do this") == {"x": [1]}
    with pytest.raises(RequestError, match=r"a\.json: holds 'clip2om\.graph', expected 'clip2om\.scores'; do this"):
        artifact.read_json(path, "scores", 1, "do this")
    with pytest.raises(RequestError, match="has format version 1, this release reads 2"):
        artifact.read_json(path, "graph", 2, "do this")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"{", "is not JSON"),
        (b"\xff\xfea", "is no text in UTF-8 or UTF-16"),
        (b"[]", "holds 'list'"),
    ],
)
def test_unreadable_json(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "a.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(RequestError, match=message):
        artifact.read_json(path, "graph", 1, "do this")


def test_partials_are_ours_alone(tmp_path: Path) -> None:
    (tmp_path / ".partial-abc.bin").touch()
    (tmp_path / "partial.bin").touch()
    artifact.remove_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["partial.bin"]


def test_folder_lock_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with (
            artifact.folder_lock(tmp_path),
            pytest.raises(RequestError, match="another run"),
            artifact.folder_lock(tmp_path),
        ):
            pass
