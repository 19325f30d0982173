"""Label files and cards as people write them: any encoding, lying anywhere, checked alike at every door."""

import pytest

from clip2om.pipeline import cards
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.places import CARDS

NAMES = ["打球", "跑步", "游泳", "跳舞", "唱歌", "骑车", "做饭", "睡觉"]
ENCODINGS = ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16", "utf-16-le", "utf-16-be"]
DEMO = (CARDS / "3d_resnet_demo.toml").read_text(encoding="utf-8")


def with_labels(folder, names, encoding="utf-8", name="mine.txt", ends="\r\n"):
    text = "".join(f"{line}{ends}" for line in names)
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    (folder / name).write_bytes(mark + text.encode(encoding))
    return folder / name


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_labels_are_read_in_any_encoding(tmp_path, encoding):
    path = with_labels(tmp_path, NAMES, encoding)
    assert cards.load("3d_resnet_demo", [f"dataset.labels={path}"]).labels() == NAMES


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
def test_cards_are_read_in_any_encoding(tmp_path, encoding):
    path = tmp_path / "mine.toml"
    path.write_bytes(f"# 我的模型\n{DEMO}".encode(encoding))
    assert cards.load(str(path)).model.classes == 8


@pytest.mark.parametrize("given", ["mine", "mine.txt", "{folder}/mine", "{folder}/mine.txt"])
def test_label_files_lie_anywhere(tmp_path, monkeypatch, given):
    with_labels(tmp_path, NAMES)
    (tmp_path / "card.toml").write_text(DEMO, encoding="utf-8")
    sets = [f"dataset.labels={given.format(folder=tmp_path)}"]
    # Beside the card, then in the current folder.
    assert cards.load(str(tmp_path / "card.toml"), sets).labels() == NAMES
    monkeypatch.chdir(tmp_path)
    assert cards.load("3d_resnet_demo", sets).labels() == NAMES


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([*NAMES[:7], NAMES[0]], f"dataset.labels has {NAMES[0]!r} twice"),
        (NAMES[:5], "dataset.labels has 5 classes, model.classes is 8"),
        ([*NAMES, "a"], "dataset.labels has 9 classes, model.classes is 8"),
    ],
)
def test_labels_that_do_not_fit_are_refused_where_they_are_read(tmp_path, names, words):
    card = cards.load("3d_resnet_demo", [f"dataset.labels={with_labels(tmp_path, names)}"])
    with pytest.raises(RequestError) as caught:
        card.class_names()
    assert words in caught.value.what


def test_missing_and_binary_label_files_are_named(tmp_path):
    with pytest.raises(RequestError, match=r"dataset.labels names nowhere\.txt"):
        cards.load("3d_resnet_demo", ["dataset.labels=nowhere"]).labels()
    path = tmp_path / "a.txt"
    path.write_bytes(b"PK\x03\x04\x00\x00\x01\x00\x02")
    with pytest.raises(RequestError):
        cards.load("3d_resnet_demo", [f"dataset.labels={path}"]).labels()
