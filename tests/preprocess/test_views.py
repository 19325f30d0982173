"""Crops, their order and whole tensors against what the libraries' own transforms gave (tests/data/protocols)."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Tuple

import numpy as np
import pytest

from clip2om.pipeline import cards
from clip2om.pipeline.card import Clips, Transform
from clip2om.pipeline.card_views import chosen_views, view_order
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import read_manifest
from clip2om.preprocess import float_linear, native
from clip2om.preprocess.__main__ import main
from clip2om.preprocess.crops import boxes_of, single
from clip2om.preprocess.geometry import Crop
from clip2om.preprocess.sampling import Sampler
from clip2om.preprocess.transform import crop_frame, crops_of_frame
from clip2om.preprocess.worker import Recipe, iter_clips
from tests.formula import DATA, frame
from tests.preprocess.conftest import SmallSet

_GOLDEN: Dict[str, Any] = json.loads(gzip.decompress((DATA / "protocols" / "views.json.gz").read_bytes()))
_ARRAYS = np.load(DATA / "protocols" / "spatial.npz")
_IMAGENET = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
_PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "scale": 1.0}
_MMACTION2 = {"kernel": "cv2-linear", "rounding": "nearest", "crop": "center-floor"}
_TSM = {"kernel": "pil-bilinear", "rounding": "truncate", "crop": "center"}


def _transform(resize: int, size: int, crop: str = "center-floor", **other: Any) -> Transform:
    given = {"kernel": "cv2-linear", "color": "RGB", **_PLAIN, **other}
    return Transform(resize=resize, size=size, crop=crop, **given)


def _numbers(operation: str) -> Tuple[int, int]:
    """Return (short side, crop) of names such as short256_three224."""
    parts = operation.split("_")
    return int(parts[0].replace("short", "")), int("".join(filter(str.isdigit, parts[1])))


def _rules() -> Iterator[Tuple[str, str, Transform]]:
    """Yield (family, operation, our transform) for all operations that are byte-exact."""
    for operation in _GOLDEN["spatial"]["mmaction2"]:
        if operation.startswith("box"):
            box = _transform(128, 112, rule="box", long=171, rounding="nearest")
            yield "mmaction2", operation, box
            continue
        short, size = _numbers(operation)
        crop = next((f"mmaction2-{n}" for n in ("three", "ten") if f"_{n}" in operation), "center-floor")
        yield "mmaction2", operation, _transform(short, size, crop, rounding="nearest")
    for operation in _GOLDEN["spatial"]["huggingface"]:
        short, size = _numbers(operation.partition("_")[2] if not operation.startswith("short") else operation)
        yield "huggingface", operation, _transform(short, size, kernel="pil-bilinear")
    for operation in _GOLDEN["spatial"]["tsm_original"]:
        size = int("".join(filter(str.isdigit, operation.rpartition("_")[2])))
        kind = next((n for n in ("three", "ten", "five") if n in operation), "")
        short = 256 if size > 100 else 32
        crop = f"tsm-{kind}" if kind else "center"
        yield "tsm_original", operation, _transform(short, size, crop, kernel="pil-bilinear")
    for operation in _GOLDEN["spatial"]["videomae_original"]:
        short, size = _numbers(operation)
        yield "videomae_original", operation, _transform(short, size, "videomae-three", rounding="truncate")


def _views(pixels: np.ndarray, transform: Transform) -> List[np.ndarray]:
    """Return all crops of a frame, (H, W, 3)."""
    if single(transform):
        return [crop_frame(pixels, transform).transpose(1, 2, 0)]
    height, width = pixels.shape[:2]
    shown = crops_of_frame(pixels, transform)
    count = len(boxes_of(width, height, transform).boxes)
    return [shown.crop(number).transpose(1, 2, 0) for number in range(count)]


def test_crops_are_the_originals_byte_for_byte() -> None:
    seen = 0
    for family, operation, transform in _rules():
        for size, expected in _GOLDEN["spatial"][family][operation].items():
            if "broken" in expected:
                continue
            width, height = map(int, size.split("x"))
            views = _views(frame(201, 3, height, width), transform)
            digests = [hashlib.sha256(np.ascontiguousarray(view).tobytes()).hexdigest() for view in views]
            assert digests == expected["sha256"], (family, operation, size)
            seen += 1
    assert seen > 150


def test_sizes_and_boxes_of_pyslowfast() -> None:
    for operation, sizes in _GOLDEN["spatial"]["pyslowfast"].items():
        short, size = _numbers(operation)
        crop = "pyslowfast-three" if "three" in operation else "center-ceil"
        transform = _transform(short, size, crop, rounding="ratio", kernel="torch-linear-float")
        for text, expected in sizes.items():
            width, height = map(int, text.split("x"))
            found = boxes_of(width, height, transform)
            part = found.part
            assert [part.width, part.height] == expected["resized"], (operation, text)
            corners = [(part.left + box.left, part.top + box.top) for box in found.boxes]
            assert [list(corner) for corner in corners] == [box[:2] for box in expected["boxes"]], (operation, text)


def _small(family: str) -> Iterator[Tuple[str, np.ndarray, np.ndarray]]:
    for name in _ARRAYS.files:
        parts = name.split("__")
        if parts[0] == family and len(parts) == 3:
            width, height = map(int, parts[2].split("x"))
            yield parts[1], frame(201, 3, height, width), _ARRAYS[name]


def test_values_of_pyslowfast() -> None:
    for operation, pixels, expected in _small("pyslowfast"):
        assert operation == "short32_three28"
        transform = _transform(32, 28, "pyslowfast-three", rounding="ratio", kernel="torch-linear-float")
        views = np.stack([view.transpose(2, 0, 1) for view in _views(pixels, transform)])
        values = (views / np.float32(255) - np.float32(0.45)) / np.float32(0.225)
        np.testing.assert_allclose(values, expected, atol=2e-5)


def test_pixels_of_torchvision_up_to_ties() -> None:
    """PyTorch's own kernels differ by one grey level in a few pixels where a value lies between two."""
    for operation, pixels, expected in _small("torchvision"):
        size = int("".join(filter(str.isdigit, operation.rpartition("_")[2])))
        stretch = {"rule": "stretch", "long": 43} if operation.startswith("32x") else {}
        transform = _transform(32, size, "center", kernel="torch-linear", rounding="truncate", **stretch)
        off = np.abs(np.stack(_views(pixels, transform)).astype(int) - expected)
        assert off.max() <= 1, operation
        assert (off > 0).mean() <= 0.002, operation


@pytest.mark.skipif(native.library() is None, reason="this host has no C compiler")
def test_the_compiled_float_resize_is_its_definition() -> None:
    pixels = frame(7, 0, 61, 83)
    for crop in (Crop(83, 61, 0, 0, 61), Crop(112, 82, 3, 1, 99, 80), Crop(20, 30, 1, 2, 9, 28)):
        np.testing.assert_array_equal(float_linear.compiled(pixels, crop), float_linear.with_numpy(pixels, crop))


class _Memory:
    """The video of the golden tensors: 11 frames of 64x48; counts how often each is decoded."""

    def __init__(self) -> None:
        self.reads: List[int] = []

    def read(self, numbers: Sequence[int]) -> Iterator[Tuple[int, np.ndarray]]:
        for number in numbers:
            self.reads.append(number)
            yield number, frame(211, number, 48, 64)


def _tensor(rule: Clips, transform: Transform, layout: str = "NCTHW") -> np.ndarray:
    clips = Sampler(rule, "").clips(0, 11)
    views = view_order(transform, len(clips))
    recipe = Recipe(transform, layout, "float32", rule.frames, ())
    source = _Memory()
    crops = [] if single(transform) else [crop for _, crop in views]
    made = dict(iter_clips(source, [clips[clip] for clip, _ in views], recipe, None, crops))
    assert len(source.reads) == len(set(source.reads))
    return np.stack([made[index] for index in range(len(views))])


def test_whole_tensors_of_mmaction2_byte_for_byte() -> None:
    three, ten = (
        _transform(16, size, crop, rounding="nearest", **_IMAGENET)
        for size, crop in ((16, "mmaction2-three"), (12, "mmaction2-ten"))
    )
    for branch in ("0x", "1x"):
        cases = {
            "3d_two_clips_three_crops": (Clips(f"mmaction2-{branch}", 4, interval=2, count=2), three, "NCTHW"),
            "2d_twice_three_crops": (Clips("segments", 4, twice=True), three, "NTCHW"),
            "2d_ten_crops": (Clips("segments", 2), ten, "NTCHW"),
        }
        for name, (rule, transform, layout) in cases.items():
            found = _tensor(rule, transform, layout)
            expected = _GOLDEN["tensors"][f"mmaction2_{branch}__{name}"]
            # Frames as batch are the same bytes: (N·T, C, H, W).
            shape = expected["shape"]
            assert list(found.shape if layout == "NCTHW" else (shape[0], *found.shape[2:])) == shape
            assert hashlib.sha256(found.tobytes()).hexdigest() == expected["sha256"], (branch, name)


def test_whole_tensors_of_pyslowfast() -> None:
    pixels = {"scale": 255.0, "mean": (0.45,) * 3, "std": (0.225,) * 3}
    transform = _transform(16, 16, "pyslowfast-three", rounding="ratio", kernel="torch-linear-float", **pixels)
    clips = Clips("pyslowfast", 4, interval=2, count=2, rate=30.0)
    rule = replace(clips, rate=0.0)
    with pytest.raises(RequestError, match=r"takes clips\.rate"):
        cards.load("3d_resnet", [f"clips.sampler={rule.sampler}"])
    views = view_order(transform, 2)
    shown = [(0, 2, 4, 7), (1, 3, 6, 8)]
    recipe = Recipe(transform, "NCTHW", "float32", 4, ())
    made = dict(iter_clips(_Memory(), [shown[c] for c, _ in views], recipe, None, [crop for _, crop in views]))
    found = np.stack([made[index] for index in range(6)])
    np.testing.assert_allclose(found, _ARRAYS["pyslowfast__fast_two_clips_three_crops"], atol=2e-5)


def test_fewer_views_are_the_middle_crop_of_evenly_spaced_clips_first() -> None:
    transform = _transform(16, 16, "pyslowfast-three", rounding="ratio")
    assert chosen_views(transform, 10, 3) == [(1, 1), (5, 1), (8, 1)]
    assert chosen_views(transform, 10, 10) == [(clip, 1) for clip in range(10)]
    assert len(chosen_views(transform, 10, 17)) == 17
    assert chosen_views(transform, 2, 30) == view_order(transform, 2)
    major = replace(transform, crop="mmaction2-three")
    assert view_order(major, 2) == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]


_THREE = (
    *("--set", "transform.crop=mmaction2-three", "--set", "transform.rounding=nearest"),
    *("--set", "clips.sampler=mmaction2-0x", "--set", "clips.count=2", "--quiet", "--workers", "1"),
)


def test_a_clip_of_the_manifest_is_a_crop_of_a_clip(small: SmallSet) -> None:
    assert main([str(word) for word in small.args(*_THREE)]) == 0
    manifest = read_manifest(small.output)
    assert manifest.crops == ["first", "last", "center"]
    assert manifest.videos[0].views == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]
    assert [clip[:2] for clip in manifest.videos[1].clips] == [(0, 6), (0, 7), (0, 8), (0, 9), (1, 0), (1, 1)]
    assert (small.output / "hmdb51.info").read_text().splitlines()[0] == "video_0 6"
    values = np.fromfile(small.output / "batch_00000.bin", np.float32).reshape(10, 3, 8, 16, 16)
    # 32x24 becomes 21x16: crops at 0, 4 and 2.
    np.testing.assert_array_equal(values[0, ..., 4:], values[2, ..., :-4])
    np.testing.assert_array_equal(values[0, ..., 2:], values[4, ..., :-2])
    assert main([str(word) for word in small.args(*_THREE, "--views", "2")]) == 0
    fewer = read_manifest(small.output)
    assert fewer.videos[0].views == [(0, 2), (1, 2)]
    assert fewer.fingerprint.views == 2
    assert fewer.fingerprint.digest != manifest.fingerprint.digest


def test_a_protocol_that_a_layout_cannot_hold_is_refused(small: SmallSet, capfd: pytest.CaptureFixture[str]) -> None:
    for options, words in (
        (("--layout", "per-video", "--batch", "4"), "a video has 6 views, and a file of layout per-video holds 4"),
        (("--views", "7"), "every video has 6 of them"),
        (("--set", "transform.resize=20"), "whose shorter side is the crop's"),
        (("--set", "transform.crop=mmaction2-ten", "--set", "transform.flip=true"), "mirror images already"),
        (("--dtype", "uint8", "--set", "transform.kernel=torch-linear-float"), "uint8 would round"),
    ):
        assert main([str(word) for word in small.args(*_THREE, *options)]) == 2
        assert words in capfd.readouterr().err


def test_the_work_is_told_before_it_starts(small: SmallSet, capfd: pytest.CaptureFixture[str]) -> None:
    words = [word for word in _THREE if word != "--quiet"]
    assert main([str(word) for word in small.args(*words, "--dry-run")]) == 0
    told = capfd.readouterr().err
    # Two clips of 8 frames of each of four videos: 4 to 11 and 10 to 17.
    assert "work: 56 frames to decode, 56 to resize once, 3 crops of each; 24 views (6 a video)" in told
    assert "3 executions of 10" in told
    assert not small.output.exists()


def test_a_folder_of_one_frame_gives_its_views(small: SmallSet, tmp_path: Path) -> None:
    small.add("video_9", "run", 9, count=1)
    assert main([str(word) for word in small.args(*_THREE)]) == 0
    one = read_manifest(small.output).videos[-1]
    assert [clip[2:] for clip in one.clips] == [(1, 1)] * 6
