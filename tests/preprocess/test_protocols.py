"""The samplers of the libraries, asked through cards' ``[clips]``, against what the originals gave.

tests/data/protocols/frames.json.gz: the transform classes of mmaction2 0.x and 1.x, PySlowFast's decoders,
pytorchvideo, torchvision, TSM, VideoMAE and UniFormer, run (frame lists, positions from 0).
"""

from __future__ import annotations

import gzip
import json
from fractions import Fraction
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from clip2om.pipeline import cards
from clip2om.pipeline.card import Clips
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import read_manifest
from clip2om.preprocess.__main__ import main
from clip2om.preprocess.clock import Clock, clock_of
from clip2om.preprocess.errors import BadVideoError
from clip2om.preprocess.samplers import pyslowfast, torchvision
from clip2om.preprocess.samplers.numbers import BLACK, within
from clip2om.preprocess.sampling import Sampler, extent
from clip2om.preprocess.video_files import FrameTimes
from tests.formula import DATA
from tests.preprocess.conftest import SmallSet

_GOLDEN: Dict[str, Any] = json.loads(gzip.decompress((DATA / "protocols" / "frames.json.gz").read_bytes()))
Case = Tuple[Clips, str, str, Any]


def _clips(rule: Clips, count: int, rate: str = "") -> List[List[int]]:
    clock = Clock(Fraction(rate)) if rate else Clock()
    return [list(clip) for clip in Sampler(rule, "").clips(0, count, clock)]


def _wrong(cases: Iterator[Case]) -> List[str]:
    """Return what differs, a line each; a case is (rule, frames, rate, clips of the original)."""
    seen = [(rule, n, rate, _clips(rule, int(n), rate), clips) for rule, n, rate, clips in cases]
    assert seen
    return [f"{rule} n={n} {rate}: {got} != {want}" for rule, n, rate, got, want in seen if got != want]


def _rows(clips: List[List[int]], length: int) -> List[List[int]]:
    """Return one-frame clips, as mmaction2 lists segments, as clips of ``length`` frames."""
    flat = [frame for clip in clips for frame in clip]
    return [flat[first : first + length] for first in range(0, len(flat), length)]


def _mmaction2(branch: str) -> Iterator[Case]:
    for entry in _GOLDEN[f"mmaction2_{branch}"].values():
        given = entry["arguments"]
        length, count = given["clip_len"], given.get("num_clips", 1)
        later = {"interval": given.get("frame_interval", 1), "twice": given.get("twice_sample", False)}
        beyond = given.get("out_of_bound_opt", "loop").replace("_", "-")
        rate = given.get("target_fps") or 0.0
        rule = Clips(f"mmaction2-{branch}", length, count=count, beyond=beyond, rate=rate, **later)
        if entry["class"] == "UniformSample":
            rule = Clips("mmaction2-uniform", length, count=count)
        elif entry["class"] == "UntrimmedSampleFrames":
            distance = given["clip_interval"] if branch == "1x" else given["frame_interval"]
            rule = Clips("mmaction2-untrimmed", length, stride=distance)
        elif entry["class"] == "DenseSampleFrames":
            positions = given.get("num_sample_positions", 10)
            sampler, frames = ("segments-dense", count) if length == 1 else ("mmaction2-dense", length)
            count = 1 if length == 1 else count
            interval = later["interval"] if length > 1 else 1
            rule = Clips(
                sampler, frames, count=count, interval=interval, positions=positions, span=given.get("sample_range", 0)
            )
        elif length == 1:
            rule = Clips("segments", count, twice=later["twice"])
        for fps, frames_of in entry.get("fps", {"": entry.get("frames")}).items():
            for n, clips in frames_of.items():
                if not isinstance(clips, str):
                    yield rule, n, fps, _rows(clips, rule.frames)


@pytest.mark.parametrize("branch", ["0x", "1x"])
def test_mmaction2(branch: str) -> None:
    assert not _wrong(_mmaction2(branch))


def _name(text: str) -> Tuple[int, int, int]:
    length, interval, count = text.rpartition("_")[2].split("x")
    return int(length), int(interval), int(count)


def _pyslowfast() -> Iterator[Case]:
    golden = _GOLDEN["pyslowfast"]
    for key, name in (("whole_video", ""), ("offset_whole_video", "-offset"), ("selective_pyav_512", "-2020")):
        for title, rates in golden[f"rule_{key}"].items():
            length, interval, count = _name(title)
            rule = Clips(f"pyslowfast{name}", length, count=count, interval=interval, rate=30.0)
            yield from ((rule, n, rate, clips) for rate, found in rates.items() for n, clips in found.items())
    for length, found in _GOLDEN["segments"]["pyslowfast_ssv2"].items():
        yield from ((Clips("pyslowfast-segments", int(length)), n, "", [frames]) for n, frames in found.items())


def test_pyslowfast() -> None:
    assert not _wrong(_pyslowfast())
    for name, frames in _GOLDEN["pyslowfast"]["pack_pathway"].items():
        length, alpha = map(int, name.split("/"))
        assert list(pyslowfast.pathway(length, alpha)) == frames, name


def test_lengths_at_which_exact_arithmetic_gives_other_frames() -> None:
    rounding = _GOLDEN["rounding"]
    for branch in ("0x", "1x"):
        for title, found in rounding[f"mmaction2_{branch}"].items():
            length, interval, count = (1, 1, 25) if title == "tsn_25" else _name(title)
            rule = Clips(f"mmaction2-{branch}", length, count=count, interval=interval)
            for n, starts in found.items():
                assert [clip[0] for clip in _clips(rule, int(n))] == starts, (branch, title, n)
    for title, found in rounding["pyslowfast_whole_video_30fps"].items():
        length, interval, count = _name(title)
        rule = Clips("pyslowfast", length, count=count, interval=interval, rate=30.0)
        assert not _wrong((rule, n, "30", clips) for n, clips in found.items())


def test_pytorchvideo() -> None:
    golden = _GOLDEN["pytorchvideo"]
    for length, found in golden["uniform_temporal_subsample"].items():
        assert {n: list(pyslowfast.subsampled(int(n), int(length))) for n in found} == found
    rule = Clips("pytorchvideo", 32, count=10, interval=2, rate=30.0)
    cases = ((rate, n, entry) for rate, found in golden["decoded_clips"].items() for n, entry in found.items())
    assert not _wrong((rule, n, rate, [clip["frames_32"] for clip in entry["clips"]]) for rate, n, entry in cases)


def test_times_of_pytorchvideos_clips() -> None:
    span = Fraction(64, 30)
    strides = {"uniform_32x2": span, "uniform_32x2_stride_16": 16, "uniform_32x2_stride_32_backpad": 32}
    for title, rates in _GOLDEN["pytorchvideo"]["clip_times"].items():
        for rate, found in rates.items():
            for n, clips in found.items():
                duration = int(n) / Fraction(rate)
                if title.startswith("constant"):
                    length, interval, count, _ = map(int, title.partition("_")[2].split("x"))
                    times = pyslowfast.constant_times(duration, Fraction(length * interval, 30), count)
                else:
                    stride = strides[title] if title == "uniform_32x2" else Fraction(strides[title], 30)
                    times = pyslowfast.uniform_times(duration, span, Fraction(stride), "backpad" in title)
                once = [clip for clip in clips if clip[3] == 0]
                assert times == [(Fraction(clip[0]), Fraction(clip[1])) for clip in once], (title, rate, n)


def _torchvision() -> Iterator[Case]:
    for title, rates in _GOLDEN["torchvision"]["clips"].items():
        native = title == "all_16_native"
        length, _, target = ("16", "", "0") if native else title.split("_")[1].partition("x")
        count = 5 if native else int(title.rpartition("_")[2])
        rule = Clips("torchvision", int(length), count=count, rate=float(target.replace("fps", "")))
        for rate, found in rates.items():
            yield from ((rule, n, rate, entry["clips"]) for n, entry in found.items() if entry["windows"])


def test_torchvision() -> None:
    assert not _wrong(_torchvision())
    for rate, found in _GOLDEN["torchvision"]["resample_idx"].items():
        for n, frames in found.items():
            wanted = list(range(0, int(n), frames["slice_step"])) if isinstance(frames, dict) else frames
            assert torchvision.resampled(int(n), float(Fraction(rate)), 15.0) == wanted, (rate, n)


def test_a_video_shorter_than_a_clip_is_skipped_as_torchvision_does_or_held() -> None:
    rule = Clips("torchvision", 16, count=2, rate=15.0)
    with pytest.raises(BadVideoError, match="has 10 frames at 15 frames/s, a clip takes 16"):
        _clips(rule, 20, "30")
    held = Clips("torchvision", 4, count=2, rate=15.0, beyond="hold")
    assert _clips(held, 4, "30") == [[0, 2, 2, 2]] * 2
    assert _clips(held, 1, "10000/1001") == [[0, 0, 0, 0]] * 2


def _originals() -> Iterator[Case]:
    golden = _GOLDEN["segments"]
    kinds = {"test": ("segments", False), "test_twice": ("segments", True), "val": ("segments-val", False)}
    for title, found in golden["tsm_original"].items():
        kind, _, length = title.rpartition("_")
        sampler, twice = kinds.get(kind, ("segments-dense", False))
        rule = Clips(sampler, int(length), twice=twice)
        for n, frames in found.items():
            yield rule, n, "", _rows([[frame - 1 for frame in frames]], int(length))
    mae = golden["videomae_original"]
    rule = Clips("videomae", 16, count=5, interval=4)
    yield from ((rule, n, "", clips) for n, clips in mae["VideoClsDataset"].items())
    rule = Clips("videomae-segments", 16)
    yield from ((rule, n, "", clips) for n, clips in mae["SSVideoClsDataset"].items())
    for title, found in golden["uniformer_ssv2"].items():
        length, count = map(int, title.split("x"))
        rule = Clips("mmaction2-uniform", length, count=count)
        yield from ((rule, n, "", [[f - 1 for f in clip] for clip in clips]) for n, clips in found.items())


def test_tsm_videomae_and_uniformer() -> None:
    assert not _wrong(_originals())


def test_what_is_shown_beyond_the_end() -> None:
    positions = range(0, 256, 32)
    assert within(positions, 100, "repeat-last") == (0, 32, 64, 96, 96, 96, 96, 96)
    assert within(positions, 100, "hold") == (0, 32, 64, 96, 99, 99, 99, 99)
    assert within(positions, 100, "loop") == (0, 32, 64, 96, 28, 60, 92, 24)
    assert within(positions, 100, "zero") == (0, 32, 64, 96, BLACK, BLACK, BLACK, BLACK)
    rule = Clips("mmaction2-0x", 4, interval=8, beyond="zero")
    assert _clips(rule, 10) == [[0, 8, BLACK, BLACK]]
    assert extent((3, 11, BLACK, BLACK)) == (3, 11)


def test_a_variable_rate_is_resampled_by_the_stamps() -> None:
    """Ten frames in the first second, then one frame that stays for a second, as a screen recording has it."""
    starts = [index / 10 for index in range(10)] + [1.0]
    clock = clock_of(FrameTimes(0.0, starts, 2.0), 5.5, 11)
    assert clock.varies
    assert clock.resampled(11, 5.0) == [0, 2, 4, 6, 8, 10, 10, 10, 10, 10]
    assert clock.part(8, 3).resampled(3, 5.0) == [0, 2, 2, 2, 2, 2]
    assert _clips_of(Clips("windows", 4, stride=4, rate=5.0), 11, clock)[:2] == [(0, 2, 4, 6), (8, 10, 10, 10)]
    jitter = clock_of(FrameTimes(0.0, [round(index / 30, 3) for index in range(64)], 64 / 30), 30.0, 64)
    assert not jitter.varies
    assert jitter.resampled(64, 15.0) == list(range(0, 64, 2))


def _clips_of(rule: Clips, count: int, clock: Clock) -> List[Tuple[int, ...]]:
    return Sampler(rule, "").clips(0, count, clock)


def test_a_rate_of_frame_folders_is_the_cards_or_refused(small: SmallSet, capfd: pytest.CaptureFixture[str]) -> None:
    options = ["--set", "clips.sampler=pyslowfast", "--set", "clips.rate=30", "--quiet", "--workers", "1"]
    asked = [str(word) for word in small.args(*options)]
    assert main(asked) == 2
    assert "folders of frames do not tell" in capfd.readouterr().err
    assert main([*asked, "--set", "dataset.rate=15", "--set", "clips.interval=3"]) == 0
    manifest = read_manifest(small.output)
    assert [clip[2:] for clip in manifest.videos[0].clips] == [(1, 12)]
    print_of = manifest.fingerprint
    assert (print_of.rate, print_of.source_rate, print_of.interval) == (30.0, 15.0, 3)


def test_keys_that_a_sampler_does_not_know_are_refused() -> None:
    for sets, words in (
        (["clips.interval=2"], "which sampler windows does not know"),
        (["clips.sampler=pyslowfast"], "takes clips.rate"),
        (["clips.sampler=segments", "clips.count=3"], "takes 1"),
        (["clips.sampler=torchvision", "clips.beyond=loop"], "torchvision skips"),
        (["clips.sampler=mmaction2-1x", "clips.twice=true"], "divides by zero"),
        (["clips.rate=-3"], "expected 0.01 to 1000"),
    ):
        with pytest.raises(RequestError, match=words):
            cards.load("3d_resnet", sets)


def test_no_rate_is_the_videos_reason() -> None:
    with pytest.raises(BadVideoError, match="nothing tells its frames per second"):
        _clips(Clips("pyslowfast", 8, interval=8, rate=30.0), 100)
