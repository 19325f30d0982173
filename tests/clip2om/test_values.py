"""Values from make's variables and from a command line: what cannot be meant is refused before anything starts."""

from __future__ import annotations

from typing import Dict

import pytest

from clip2om.commands import COMMANDS, by_name
from clip2om.pipeline.errors import RequestError
from clip2om.values import from_arguments, from_make, look_alikes, unused

ACCURACY = by_name()["accuracy"]


def _make(command: str = "accuracy", **variables: str) -> Dict[str, tuple]:
    environ = {**variables, "CLIP2OM_GIVEN": " ".join(variables)}
    return from_make(by_name()[command], environ).found


@pytest.mark.parametrize(
    ("name", "meant"),
    [("MODLE", "MODEL"), ("MIN_ACURACY", "MIN_ACCURACY"), ("MAXCLIPS", "MAX_CLIPS"), ("CHECK_POINT", "CHECKPOINT")],
)
def test_a_variable_that_is_none_of_ours_is_refused_with_what_was_meant(name: str, meant: str) -> None:
    with pytest.raises(RequestError, match=f"no variable {name}; did you mean {meant}"):
        _make(**{name: "1"})


def test_a_variable_nothing_like_ours_is_refused_too() -> None:
    with pytest.raises(RequestError, match="no variable ZZZ; make help"):
        _make(ZZZ="1")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("K", "abc", "K: 'abc' is not an integer of 1 or more"),
        ("K", "0", "1 or more"),
        ("MIN_ACCURACY", "95", "did you mean 0.95?"),
        ("MIN_ACCURACY", "95%", "did you mean 0.95?"),
        ("MIN_ACCURACY", "nan", "not a number from 0 to 1"),
        ("ENGINE", "tensorrt", "'tensorrt' is not one of: auto, openvino"),
        ("PRECISION", "int4", "'int4' is not one of: f32, bf16, int8"),
        ("BATCH", "4,x", "is not a batch size"),
        ("BATCH", "4,4", "is not a batch size"),
        ("DEVICES", "0,0", "different device numbers"),
        ("LAYOUT", "loose", "'loose' is not one of"),
        ("SET", "depth=18", "is not section.key=value"),
        ("LIMIT", "-1", "0 or more"),
        ("MAX_CLIPS", "1e3", "0 or more"),
        ("CALIBRATION", "some", "1 or more"),
    ],
)
def test_values_that_cannot_be_meant_are_refused_at_both_doors(variable: str, value: str, words: str) -> None:
    with pytest.raises(RequestError) as refusal:
        _make(**{variable: value})
    assert words in refusal.value.line()
    option = {option.variable: option for option in ACCURACY.options}[variable]
    with pytest.raises(RequestError) as refusal:
        from_arguments(ACCURACY, [f"{option.flag}={value}" if option.flag != "-k" else f"-k{value}"])
    assert words.partition(": ")[2] in refusal.value.line()


def test_values_of_both_doors_are_the_same() -> None:
    typed = _make(CHECKPOINT="a b.pth", SET="model.depth=18 model.shortcut=A", STRICT="1", K="5")
    words = ["--checkpoint", "a b.pth", "--set", "model.depth=18", "--set", "model.shortcut=A", "--strict", "-k", "5"]
    assert from_arguments(ACCURACY, words).found == typed
    assert typed["SET"] == ("model.depth=18", "model.shortcut=A")


def test_underscores_do_as_hyphens() -> None:
    assert from_arguments(ACCURACY, ["--max_clips=10"]).found == {"MAX_CLIPS": ("10",)}


def test_an_empty_value_forgets() -> None:
    assert _make(LIMIT="") == {"LIMIT": ()}
    assert from_arguments(ACCURACY, ["--limit", ""]).found == {"LIMIT": ()}


@pytest.mark.parametrize("off", ["0", "no", "false", ""])
def test_a_switch_can_be_off(off: str) -> None:
    assert _make(STRICT=off) == {"STRICT": ()}
    assert _make(STRICT="1") == {"STRICT": ("1",)}


def test_names_with_quotes_and_blanks_are_words_of_a_list(tmp_path) -> None:
    video = tmp_path / "it's a video.mp4"
    video.touch()
    assert _make("predict", VIDEO=str(video))["VIDEO"] == (str(video),)
    assert _make("predict", VIDEO="a.mp4 'b c.mp4'")["VIDEO"] == ("a.mp4", "b c.mp4")
    assert _make("predict", VIDEO="it's.mp4 b.mp4")["VIDEO"] == ("it's.mp4", "b.mp4")


def test_variables_of_the_environment_count_but_only_ours() -> None:
    found = from_make(ACCURACY, {"MAX_CLIPS": "10", "HOME": "/", "CLIP2OM_GIVEN": ""}).found
    assert found == {"MAX_CLIPS": ("10",)}


def test_a_near_miss_in_the_environment_is_told() -> None:
    (line,) = look_alikes(ACCURACY, {"MIN_ACURACY": "0.99", "MIN_ACCURACY": "0.5", "HOME": "/"})
    assert "MIN_ACURACY" in line and "MIN_ACCURACY is" in line


def test_a_variable_of_another_target_is_told() -> None:
    assert unused(by_name()["compare"], {"CLIP2OM_GIVEN": "A B TIMELINE"}) == ["TIMELINE"]


def test_an_unknown_option_is_refused_with_what_was_meant() -> None:
    with pytest.raises(RequestError, match="did you mean --min-accuracy"):
        from_arguments(ACCURACY, ["--min-acuracy", "0.9"])
    with pytest.raises(RequestError, match=r"takes no 'clip\.mp4'"):
        from_arguments(ACCURACY, ["clip.mp4"])


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_a_help(command, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end:
        from_arguments(command, ["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for option in command.own:
        assert option.variable in command.positional or option.flag in text
