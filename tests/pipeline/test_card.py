import pytest

from clip2om.pipeline import cards
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.places import CARDS


@pytest.fixture
def text() -> str:
    return (CARDS / "3d_resnet.toml").read_text()


def _load(tmp_path, text: str, *overrides: str) -> Card:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return cards.load(str(path), overrides)


@pytest.mark.parametrize("name", cards.available())
def test_every_card_in_the_project_is_valid(name: str) -> None:
    card = cards.load(name)
    assert card.name == name
    assert not card.labels() or len(card.labels()) == card.model.classes


def test_the_published_card_says_what_was_published() -> None:
    card = cards.load("3d_resnet")
    assert (card.model.arguments["depth"], card.model.classes, card.input.shape) == (50, 51, (3, 16, 112, 112))
    assert [figure.value for figure in card.published] == [0.6222, 392.21, 794.91]
    assert all(figure.source and figure.hardware for figure in card.published)


@pytest.mark.parametrize("depth", [18, 34, 101])
def test_other_depths_by_override(depth: int) -> None:
    assert cards.load("3d_resnet", [f"model.arguments.depth={depth}"]).model.arguments["depth"] == depth


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.depht=18", "unknown key 'model.depht'; expected one of: arguments, checkpoint, classes"),
        ("model.classes=0", "model.classes is 0, expected 1 or more"),
        ("clips.frames=8", "input.shape is [3, 16, 112, 112], but clips and transform give [3, 8, 112, 112]"),
        (
            "input.layout=NCHW",
            "input.layout is 'NCHW', expected N (or NK, K clips of one video) then C, T, H, W in any order",
        ),
        ("input.shape=7", "input.shape is 7 (int), expected a list"),
        ("transform.mean=[1, 2]", "input.shape is [3, 16, 112, 112], but clips and transform give [2, 16, 112, 112]"),
        ("transform.std=[1, 0, 1]", "std and scale not 0"),
        ("transform.resize=100", "transform.size 112 is larger than transform.resize 100"),
        ("clips.stride=0", "clips.stride is 0, expected 1 or more"),
        (
            "dataset.frame_name=image_%05d.jpg",
            "dataset.frame_name is 'image_%05d.jpg', expected a name such as image_{:05d}",
        ),
        ("dataset.frame_name={}{}.jpg", "expected a name such as image_{:05d}.jpg"),
        ("clips.sampler=spread", "clips.span is 0, expected 1 or more"),
        ("transform.rule=box", "transform.long is 0, expected 1 or more"),
        ("input.layout=NKCTHW", "input.layout NKCTHW takes the same number of clips of every video"),
        ("export.softmax=true", "export.softmax and scores.activation softmax are the same step twice"),
        ("nonsense", "'nonsense' is not section.key=value"),
        ("title.x=3", "'title' is not a section"),
        ("extra.key=3", "unknown key 'extra'"),
    ],
)
def test_wrong_entries_are_named(override: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        cards.load("3d_resnet", [override])
    assert message in caught.value.line()
    assert "\n" not in caught.value.line()


def test_missing_key_names_file_and_key(tmp_path, text: str) -> None:
    with pytest.raises(RequestError, match=r"mine\.toml: key 'model\.framework' is missing, expected a string"):
        _load(tmp_path, text.replace('framework = "pytorch"\n', ""))


def test_malformed_toml_names_the_file(tmp_path, text: str) -> None:
    with pytest.raises(RequestError, match=r"mine\.toml: is not TOML"):
        _load(tmp_path, text + "\n[model\n")


def test_derived_key_may_not_be_written(tmp_path, text: str) -> None:
    with pytest.raises(RequestError, match="'name' is derived"):
        _load(tmp_path, 'name = "other"\n' + text)


def test_label_file_that_does_not_exist(tmp_path, text: str) -> None:
    with pytest.raises(RequestError, match=r"dataset\.labels names none\.txt"):
        _load(tmp_path, text, "dataset.labels=none").labels()


def test_class_names_are_one_per_line_and_may_hold_blanks(tmp_path, text: str, monkeypatch) -> None:
    monkeypatch.setattr("clip2om.pipeline.card.CARDS", tmp_path)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "mine.txt").write_text("air drumming\n\nski jumping \n")
    assert _load(tmp_path, text, "dataset.labels=mine").labels() == ["air drumming", "ski jumping"]


def test_unknown_card_lists_the_known_ones() -> None:
    with pytest.raises(RequestError, match="choose one of: 3d_resnet, 3d_resnet_demo"):
        cards.load("resnet")


def test_digest_covers_the_named_sections_only() -> None:
    plain = cards.load("3d_resnet")
    other = cards.load("3d_resnet", ["clips.max_clips=10"])
    assert plain.digest("model", "input") == other.digest("model", "input")
    assert plain.digest("clips") != other.digest("clips")


def test_several_clips_of_a_video_may_be_one_item_of_the_batch() -> None:
    sets = ("clips.sampler=uniform", "clips.count=10", "input.layout=NKCTHW", "input.shape=[10, 3, 16, 112, 112]")
    spec = cards.load("3d_resnet", sets).input_spec(2)
    assert (spec.clips, spec.clips_per_item, spec.shape) == (20, 10, (2, 10, 3, 16, 112, 112))
    with pytest.raises(RequestError, match=r"clips and transform give \[10, 3, 16, 112, 112\] in layout NKCTHW"):
        cards.load("3d_resnet", [*sets[:3], "input.shape=[4, 3, 16, 112, 112]"])


def test_only_evenly_spaced_starts_give_several_clips() -> None:
    with pytest.raises(RequestError, match=r"clips\.count is 3, which takes clips\.start even, not center"):
        cards.load("3d_resnet", ["clips.sampler=consecutive", "clips.count=3"])


def test_the_digest_follows_the_contents_of_the_mean_volume(tmp_path) -> None:
    path = tmp_path / "mean.npy"
    path.write_bytes(b"one")
    override = [f"transform.mean_volume={path}"]
    first = cards.load("3d_resnet", override).digest("transform")
    path.write_bytes(b"two")
    assert cards.load("3d_resnet", override).digest("transform") != first
    path.unlink()
    with pytest.raises(RequestError, match=r"transform\.mean_volume: no such file"):
        cards.load("3d_resnet", override).digest("transform")


def test_an_old_card_is_read_and_says_so(tmp_path) -> None:
    with open(cards.load("3d_resnet_demo").path, encoding="utf-8") as stream:
        text = stream.read()
    path = tmp_path / "old.toml"
    path.write_text(text.replace("\n[model.arguments]\n", ""), encoding="utf-8")
    old, new = cards.load(str(path)), cards.load("3d_resnet_demo")
    assert old.model == new.model and old.digest("model") == new.digest("model")
    assert set(old.old_entries) == {"depth", "shortcut", "widen_factor", "conv1_t_size"} and not new.old_entries
    # The short form of an option of the command line is no old card.
    assert not cards.load("3d_resnet_demo", ["model.depth=18"]).old_entries
    assert cards.load(str(path), ["model.depth=18"]).model.arguments["depth"] == 18
    path.write_text(text.replace("[model]\n", "[model]\ndepth = 18\n"), encoding="utf-8")
    with pytest.raises(RequestError, match=r"model\.depth and model\.arguments\.depth differ"):
        cards.load(str(path))
