"""The arithmetic of the stage, without an engine: groups, reading, intervals, percentiles, journal."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from clip2om.infer.groups import Group, feed_spec, make_groups
from clip2om.infer.journal import NAME, Entry, Identity, Journal
from clip2om.infer.measure import Clock, covered, throughput, work_of
from clip2om.infer.reader import BatchReader, read_ahead
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.records import ScoreFile
from clip2om.pipeline.tensor import DYNAMIC
from tests.command import ROOT
from tests.convert.graphs import Graph
from tests.infer.cases import clips_of, write_batches

GRAPH = Graph()


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([], 0.0),
        ([(1.0, 3.0)], 2.0),
        ([(1.0, 3.0), (2.0, 4.0)], 3.0),
        ([(2.0, 4.0), (1.0, 3.0), (6.0, 7.0)], 4.0),
        ([(1.0, 9.0), (2.0, 3.0), (4.0, 5.0)], 8.0),
        ([(1.0, 2.0), (2.0, 3.0)], 2.0),
    ],
)
def test_time_with_a_batch_on_the_device_counts_once(intervals: list, expected: float) -> None:
    assert covered(intervals) == expected


def test_figures_of_a_made_up_run(tmp_path: Path) -> None:
    manifest = write_batches(tmp_path, GRAPH, clips_of(18, GRAPH), 4)
    groups = make_groups(manifest, 1)
    clock = Clock(begin=10.0)
    for number in range(5):
        clock.add(10.0 + number, 10.5 + number)
    clock.end = 20.0
    figures = throughput(work_of(manifest, groups), clock, (2, 0.25), 7)
    assert (figures.compute.seconds, figures.wall.seconds) == (2.5, 10.0)
    assert (figures.wall.clips_per_s, figures.wall.videos_per_s) == (1.8, 0.6)
    assert (figures.wall.frames_per_s, figures.wall.slots_per_s) == (7.2, 2.0)
    assert figures.compute.clips_per_s == 7.2
    assert (figures.latency.mean_ms, figures.latency.p99_ms, figures.latency.max_ms) == (500.0, 500.0, 500.0)
    assert (figures.warmup_batches, figures.warmup_s, figures.resumed_batches) == (2, 0.25, 7)


def test_a_video_counts_once_however_its_clips_are_spread(tmp_path: Path) -> None:
    manifest = write_batches(tmp_path, GRAPH, clips_of(18, GRAPH), 4, per_video=9)
    groups = make_groups(manifest, 1)
    parts = [work_of(manifest, groups[:3]), work_of(manifest, groups[3:])]
    assert [part.videos for part in parts] == [1, 1]
    assert work_of(manifest, groups).videos == 2
    assert sum(part.clips for part in parts) == work_of(manifest, groups).clips == 18


def test_only_single_clip_files_are_joined(tmp_path: Path) -> None:
    model = GRAPH.input_spec
    single = write_batches(tmp_path / "single", GRAPH, clips_of(6, GRAPH), 1, "per-clip")
    packed = write_batches(tmp_path / "packed", GRAPH, clips_of(6, GRAPH), 1, "packed")
    assert feed_spec(single, model).batch == 4
    assert feed_spec(single, model.with_batch(DYNAMIC)).batch == 1
    assert feed_spec(packed, model).batch == 1
    groups = make_groups(single, 4)
    assert [(len(group.files), group.slots, group.clips) for group in groups] == [(4, 4, 4), (2, 4, 2)]
    assert groups[0].key != groups[1].key


def test_joined_files_are_padded_with_zeros(tmp_path: Path) -> None:
    clips = clips_of(6, GRAPH)
    manifest = write_batches(tmp_path, GRAPH, clips, 1, "per-clip")
    reader = BatchReader(tmp_path, manifest.tensor, feed_spec(manifest, GRAPH.input_spec), verify=True)
    first, last = (reader.read(group) for group in make_groups(manifest, 4))
    np.testing.assert_array_equal(first, clips[:4])
    np.testing.assert_array_equal(last[:2], clips[4:])
    assert not last[2:].any()
    assert last.shape == (4, *GRAPH.shape)


@pytest.mark.parametrize("change", [-1, 1])
def test_file_that_changes_its_size_after_the_check(tmp_path: Path, change: int) -> None:
    manifest = write_batches(tmp_path, GRAPH, clips_of(4, GRAPH), 4)
    path = tmp_path / "batch_00000.bin"
    path.write_bytes((path.read_bytes() + b"x")[: manifest.tensor.nbytes + change])
    with pytest.raises(RequestError, match=r"batch_00000.bin: was changed while it was read"):
        BatchReader(tmp_path, manifest.tensor, manifest.tensor).read(make_groups(manifest, 1)[0])


def test_reading_ahead_stays_ahead_and_ends_with_its_user() -> None:
    read = []
    third = threading.Event()

    def remember(group: Group) -> np.ndarray:
        read.append(group.slots)
        if len(read) == 3:
            third.set()
        return np.array([group.slots])

    before = threading.enumerate()
    arrays = read_ahead(remember, [Group((), number) for number in range(10)], 2)
    assert next(arrays)[0] == 0
    assert third.wait(10)
    arrays.close()
    assert len(read) == 3
    assert threading.enumerate() == before


def test_error_of_the_reading_thread_reaches_the_caller() -> None:
    def fail(group: Group) -> np.ndarray:
        if group.slots == 2:
            raise RequestError("bad file", "batch_00002.bin")
        return np.zeros(1)

    arrays = read_ahead(fail, [Group((), number) for number in range(5)], 2)
    next(arrays)
    next(arrays)
    with pytest.raises(RequestError, match="bad file"):
        next(arrays)


IDENTITY = Identity("model", "openvino", "1", "float32")


def _entry(number: int) -> Entry:
    return Entry(f"key {number}", [ScoreFile(f"batch_{number:05d}_0.bin", f"batch_{number:05d}.bin", 0, "digest")])


def test_journal_keeps_what_was_recorded(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.read() is None
    journal.start(IDENTITY, [_entry(0)])
    journal.add(_entry(1))
    progress = journal.read()
    assert progress is not None
    assert progress.identity == IDENTITY
    assert progress.names == ["batch_00000_0.bin", "batch_00001_0.bin"]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_journal_survives_a_line_cut_off_anywhere(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path)
    journal.start(IDENTITY, [_entry(0), _entry(1)])
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:-cut])
    progress = journal.read()
    assert progress is not None
    # All that is lost of a line that only lacks its end of line is nothing.
    assert progress.names == ["batch_00000_0.bin", "batch_00001_0.bin"][: 2 if cut == 1 else 1]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"engine": 3}', "\x00\x01"])
def test_journal_of_another_shape_is_no_journal(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    assert Journal(tmp_path).read() is None


@pytest.mark.parametrize("name", ["infer", "convert"])
def test_help_is_quick(name: str) -> None:
    """Nothing that takes long to load is loaded for it (the time itself is the machine's)."""
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{name!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_module({name!r}, run_name='__main__', alter_sys=True)\n"
        "finally:\n"
        "    print(*sorted({'numpy', 'PIL', 'torch', 'onnx', 'openvino', 'multiprocessing'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--model" in done.stdout and done.stdout.splitlines()[-1] == ""
