"""Text files of people: every usual encoding gives the same names."""

from __future__ import annotations

from pathlib import Path

import pytest

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.naming import full_subset, is_plain_name, written
from clip2om.pipeline.texts import decoded, read_lines

WESTERN, CHINESE = "café/Übung 3\nfür zwei 4\n", "跳舞/视频 3\n打篮球，（室内） 4\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_western_texts(encoding: str) -> None:
    assert decoded(WESTERN.encode(encoding)) == WESTERN


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk"])
def test_chinese_texts(encoding: str) -> None:
    assert decoded(CHINESE.encode(encoding)) == CHINESE


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_ends_of_lines(tmp_path: Path, end: str) -> None:
    (tmp_path / "a.txt").write_bytes(f"one{end}two\x0b\u2028{end}".encode())
    assert read_lines(tmp_path / "a.txt", "do this")[:2] == ["one", "two\x0b\u2028"]


@pytest.mark.parametrize("content", [b"\xff\xfea", b"a\0\0\0b", b"\0\0\0\1\0"])
def test_what_is_no_text(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(RequestError, match="no text in UTF-8"):
        read_lines(tmp_path / "a.txt", "do this")


def test_names_of_subsets() -> None:
    assert [full_subset(name) for name in ("val", "Valid", "VALIDATION", "test", "Train")] == [
        *["validation"] * 3,
        "testing",
        "training",
    ]
    assert full_subset("Split 3") == "Split 3"


def test_names_that_are_no_utf8_can_be_written() -> None:
    assert written("plain") == "plain"
    assert written("caf\udce9.mp4") == "caf%E9.mp4"
    assert is_plain_name(written("caf\udce9"))
