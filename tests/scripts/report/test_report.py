"""The report of a run: figures, film strips, what it leaves out, and what it refuses. Browsers: tests/browser."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shlex
import string
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import List, Tuple

import numpy as np
import pytest

from clip2om.postprocess.accuracy import Rules
from clip2om.postprocess.scores import Absent
from clip2om.scripts.compare import texts as compare_texts
from clip2om.scripts.drift import texts as drift_texts
from clip2om.scripts.pages import figures, strips, times
from clip2om.scripts.pages.run import folders_of, load
from clip2om.scripts.pages.texts import TEXTS, add
from clip2om.scripts.pages.words import WORDS
from clip2om.scripts.report import __main__ as report
from tests.command import ROOT, refused, stage
from tests.scripts.report_cases import PRINT, Case

HOSTILE = "<img src=x onerror=alert(1)>"
SCRIPT = "</script><script>alert(2)</script>"


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def make(case: Case, results: Path, *options: object) -> str:
    """Write the report in this process and return the page."""
    args = ["--model", case.card, "--results", results, "--quiet", *options]
    assert report.main([str(arg) for arg in args]) == 0
    return (results / "report.html").read_text(encoding="utf-8")


def data_of(page: str) -> dict:
    (text,) = re.findall(r'<script type="application/json" id="page-data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def sure(case: Case, rows: List[Tuple[int, float]]) -> np.ndarray:
    """Return logits where video n takes class rows[n][0] with that score after softmax; the others share the rest."""
    classes = len(case.labels)
    scores = np.array(
        [[(1 - s) / (classes - 1)] * c + [s] + [(1 - s) / (classes - 1)] * (classes - 1 - c) for c, s in rows]
    )
    return np.repeat(np.log(scores), 2, axis=0).astype(np.float32)


def test_figures_of_four_videos(tmp_path: Path) -> None:
    case = Case(tmp_path, classes=2, videos=4)
    # Truth is 0 1 0 1: right at 0.95, wrong at 0.85, wrong at 0.75, right at 0.55.
    found = load(folders_of(case.run("a", sure(case, [(0, 0.95), (0, 0.85), (1, 0.75), (1, 0.55)]))))
    assert [(cell.truth, cell.predicted, cell.count, cell.share) for cell in figures.cells(found)] == [
        (0, 0, 1, 0.5),
        (0, 1, 1, 0.5),
        (1, 0, 1, 0.5),
        (1, 1, 1, 0.5),
    ]
    assert [item.id for item in figures.mistakes(found, 5)] == ["video_00001", "video_00002"]
    assert [item.id for item in figures.doubtful(found, 1)] == ["video_00003"]
    calibration = figures.calibration(found)
    assert calibration is not None
    # (|0.95 - 1| + |0.85 - 0| + |0.75 - 0| + |0.55 - 1|) / 4, one video in each of four bins
    assert calibration.error == pytest.approx(0.525, abs=1e-6)
    assert [item.low for item in calibration.bins] == [0.5, 0.7, 0.8, 0.9]
    first = figures.class_rows(found)[0]
    assert (first.accuracy.hits, first.accuracy.total, first.predicted, first.confused) == (1, 2, 2, "class_001")
    assert figures.clips_per_video(found) == [(2, 4)]


def test_the_clip_shown_is_the_one_that_speaks_most_for_the_prediction(tmp_path: Path) -> None:
    case = Case(tmp_path, classes=3, videos=1)
    # The first clip has the larger output, but the second is surer of class 1.
    logits = np.array([[9.0, 10.0, 9.0], [-5.0, 6.0, -5.0]], np.float32)
    (shown,) = figures.mistakes(load(folders_of(case.run("a", logits))), 3)
    assert (shown.clip, shown.top[0][0], shown.truth) == (1, "class_001", "class_000")


def test_equal_scores_follow_the_rules_of_the_accuracy(tmp_path: Path) -> None:
    case = Case(tmp_path, classes=2, videos=2)
    even = np.zeros((4, 2), np.float32)
    for ties, expected in (("first", [0, 0]), ("last", [1, 1])):
        found = load(folders_of(case.run(ties, even, rules=Rules(1, "softmax", ties=ties))))
        assert found.best.tolist() == expected


@pytest.mark.parametrize("field", ["engine", "engine_version", "device", "precision", "scores_sha256"])
def test_speed_of_another_engine_is_not_put_under_this_ones_name(case: Case, field: str) -> None:
    folder = case.run("a", case.logits())
    path = folder / "accuracy.json"
    record = json.loads(path.read_text())
    record["origin"][field] = "f" * 64 if field == "scores_sha256" else "another"
    path.write_text(json.dumps(record))
    found = load(folders_of(folder))
    assert found.summary is None
    assert "other_summary" in [note.key for note in found.notes]


def test_lanes_and_slices_of_a_run(case: Case) -> None:
    found = load(folders_of(case.run("a", case.logits())))
    assert found.summary is not None
    summary = replace(found.summary, start_ms=[0.0, 5.0, 10.0, 12.0], latency_ms=[10.0, 10.0, 10.0, 20.0])
    assert [(lane.batch, lane.lane, lane.end) for lane in times.lanes(summary)] == [
        (1, 1, 10.0),
        (2, 2, 15.0),
        (3, 1, 20.0),
        (4, 3, 32.0),
    ]
    parts = times.slices(summary)
    assert sum(part.batches for part in parts) == 4
    assert parts[-1].mean_ms == 20.0


def test_the_page_says_what_was_run_and_what_came_out(case: Case) -> None:
    case.frames()
    results = case.run("a", case.logits(lead=3.0))
    page = make(case, results)
    accuracy = json.loads((results / "accuracy.json").read_text())
    top = accuracy["video"]["top-1"]
    for text in (
        f"{top['hits']} / {top['total']}",
        f"{100 * top['value']:.2f} %",
        f"{100 * top['low']:.2f} % – {100 * top['high']:.2f} %",
        "70.00 %",
        "outside the interval",
        "made_up (A made-up model)",
        accuracy["origin"]["fingerprint"],
        "python -m postprocess --model made_up",
        "Videos without scores count as wrong.</span>",
        "batch_accuracy=0。没有得分的视频计为错误。",
        "openvino 1",
        "published",
        "公布值",
    ):
        assert text in page, text
    drawn = data_of(page)["charts"]
    assert {
        "chart-accuracy",
        "chart-confusion",
        "chart-clips",
        "chart-latency",
        "chart-timeline",
        "chart-reliability",
    } == set(drawn)
    assert sum(row["n"] for row in drawn["chart-confusion"]["datasets"]["rows"]) == 40
    assert len(drawn["chart-timeline"]["datasets"]["rows"]) == 4
    assert page.count("data:image/jpeg;base64,") == 4 * page.count('<div class="film">') >= 4 * 12


def test_the_commands_to_reproduce_exist(case: Case) -> None:
    page = make(case, case.run("a", case.logits(), rules=Rules(2, "softmax", max_clips=1, ignore=True)))
    (block,) = re.findall(r"<pre tabindex=.0.>(.*?)</pre>", html.unescape(page), re.DOTALL)
    lines = [line for line in block.splitlines() if line]
    modules = [shlex.split(line)[2] for line in lines]
    assert modules == ["preprocess", "convert", "infer", "postprocess", "scripts.report"]
    assert "-k 2 --ignore --activation softmax --max-clips 1" in lines[3]
    for module, line in zip(modules, lines):
        known = stage(module, "--help").stdout
        assert [word for word in shlex.split(line)[3:] if word.startswith("-") and word not in known] == []


def test_the_frames_are_those_of_the_clip(tmp_path: Path) -> None:
    case = Case(tmp_path, classes=2, videos=2)
    case.frames()
    page = make(case, case.run("a", sure(case, [(0, 0.9), (0, 0.9)])))
    assert "clip 1 of 2, frames 1 to 4" in page
    assert re.findall(r'alt="video_00001, (\d)"', page) == ["1", "2", "3", "4"]


def test_everything_from_the_dataset_stays_text(tmp_path: Path) -> None:
    case = Case(
        tmp_path, labels=[HOSTILE, "a & b", SCRIPT, '"quoted"'], ids=[f"{HOSTILE}{n}{SCRIPT}" for n in range(8)]
    )
    lost = [Absent("<b>lost</b>", HOSTILE, "skipped", "<i>gone</i>")]
    page = make(case, case.run("a", case.logits(lead=0.5), absent=lost))
    for bad in ("<img src=x", "<script>alert", "<b>lost", "<i>gone"):
        assert bad not in page
    names = data_of(page)["charts"]["chart-confusion"]["params"][0]["value"]
    assert names == case.labels
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


class Loads(HTMLParser):
    """Collects what a page would fetch, and its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fetched: List[str] = []
        self.policy = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        found = dict(attrs)
        self.fetched += [found[name] for name in ("src", "srcset", "data", "action") if name in found]
        if tag == "link":
            self.fetched.append(found["href"])
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"]


def test_the_page_needs_nothing_and_allows_only_its_own_scripts(case: Case) -> None:
    case.frames()
    page = make(case, case.run("a", case.logits()))
    loads = Loads(page)
    assert len(loads.fetched) > 20
    assert [found for found in loads.fetched if not found.startswith("data:")] == []
    assert "default-src 'none'" in loads.policy
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 2
    for text in scripts:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in loads.policy


def test_results_of_hmdb51_size_stay_below_three_megabytes(tmp_path: Path) -> None:
    case = Case(tmp_path, classes=51, videos=1530)
    case.frames(only=24, size=320)
    logits = case.logits(lead=8.0)
    logits[:24] = case.logits(lead=-8.0)[:24]
    logits[24:48] = 0
    logits[np.arange(24, 48), np.repeat(case.truth[12:24], 2)] = 0.1
    page = make(case, case.run("a", logits))
    assert page.count('<div class="film">') == 24
    assert 1_300_000 < len(page.encode()) < 3_000_000


def test_many_classes_and_videos_are_limited_with_a_word(tmp_path: Path) -> None:
    case = Case(tmp_path, classes=1500, videos=3000)
    latency = np.random.default_rng(0).gamma(9, 2, 1200).tolist()
    page = make(case, case.run("a", case.logits(lead=5.0), latency=latency))
    assert "The table shows 1000 of 1500 classes" in page
    assert page.count('<tr><th scope="row" class="word">class_') == 1000
    assert len(data_of(page)["charts"]["chart-timeline"]["datasets"]["rows"]) <= times.SLICES
    assert len(page.encode()) < 3_000_000


def test_what_is_missing_is_left_out_and_said(case: Case, capsys: pytest.CaptureFixture) -> None:
    results = case.run("a", case.logits())
    build = results.parent.parent
    assert "the videos of the dataset are not in frames" in make(case, results)
    assert "Film strips were switched off" in make(case, results, "--strips", 0)
    (build / "scores" / "cpu-b10" / "summary.json").unlink()
    (build / "compiled" / "cpu-b10" / "model.json").unlink()
    (build / "batches" / "manifest.json").write_text("{}")
    page = make(case, results)
    for words in ("No summary.json of the run", "No record of the compiled model", "not those that were scored"):
        assert words in page
    assert "chart-latency" not in data_of(page)["charts"]
    (build / "batches" / "manifest.json").unlink()
    assert "manifest is not there" in make(case, results)
    capsys.readouterr()
    assert report.main(["--model", str(case.card), "--results", str(results)]) == 0
    shown = capsys.readouterr()
    assert "manifest is not there" in shown.err
    assert shown.out.startswith(f"report: {results / 'report.html'} (")


def test_results_outlive_the_format_of_their_batches(case: Case) -> None:
    results = case.run("a", case.logits())
    path = results.parent.parent / "batches" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 0}))
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    accuracy = json.loads((results / "accuracy.json").read_text())
    accuracy["origin"]["manifest_sha256"] = old
    (results / "accuracy.json").write_text(json.dumps(accuracy))
    assert "manifest cannot be used (has format version 0" in make(case, results)


def test_one_video_off_the_disk_is_counted(case: Case) -> None:
    case.frames(only=39)
    logits = case.logits(lead=9.0)
    logits[-2:] = -logits[-2:]
    assert "1 of 13 film strips are left out" in make(case, case.run("a", logits))


def test_strips_that_would_make_the_page_too_large_are_left_out(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.frames()
    monkeypatch.setattr(strips, "_BUDGET", 20_000)
    page = make(case, case.run("a", case.logits()))
    shown = page.count('<div class="film">')
    assert 3 < shown < 12
    assert "film strips are left out: the page keeps below its size" in page


def test_without_labels_there_is_a_page_without_accuracy(case: Case) -> None:
    page = make(case, case.run("a", case.logits(), truth=np.full(40, -1, np.int32)))
    assert "No scored video has a label" in page
    assert "chart-confusion" not in data_of(page)["charts"]


def test_scores_that_are_no_probabilities_have_no_reliability(case: Case) -> None:
    page = make(case, case.run("a", case.logits(), rules=Rules(1, "none")))
    assert "no reliability diagram" in page
    assert "chart-reliability" not in data_of(page)["charts"]


def test_scores_that_overflow_are_counted_and_break_nothing(case: Case) -> None:
    logits = case.logits()
    logits[4:6] = 100.0
    page = make(case, case.run("a", logits, rules=Rules(1, "naive-softmax")))
    assert "1 videos have scores that are no numbers" in page
    assert data_of(page)["charts"]["chart-reliability"]


def test_wrong_requests_are_refused_in_one_line(case: Case, tmp_path: Path) -> None:
    results = case.run("a", case.logits())
    refused(stage("scripts.report", "--model", case.card, "--results", tmp_path / "nowhere"), "no accuracy.json")
    refused(stage("scripts.report", "--results", results), "is of card made_up, not 3d_resnet", "--model made_up")
    case.run("a", case.logits()).rename(results.parent / "other")
    case.run("a", case.logits())
    refused(
        stage("scripts.report", "--model", case.card, "--results", tmp_path / "build" / "a"), "several runs", "other"
    )


def test_results_counted_again_elsewhere_need_their_scores(case: Case, tmp_path: Path) -> None:
    results = case.run("a", case.logits())
    again = ["--from-scores", results / "scores.npz", "--output", tmp_path / "again", "-k", 2]
    assert stage("postprocess", "--model", case.card, *again).returncode == 0
    done = stage("scripts.report", "--model", case.card, "--results", tmp_path / "again")
    refused(done, "scores.npz: no such file; copy the scores.npz that was counted")
    (tmp_path / "again" / "scores.npz").write_bytes((results / "scores.npz").read_bytes())
    assert "top-2, videos" in make(case, tmp_path / "again")


def test_results_that_do_not_belong_together_are_refused(case: Case, capsys: pytest.CaptureFixture) -> None:
    results = case.run("a", case.logits())
    other = case.run("b", case.logits(seed=5, lead=0.5))
    (results / "scores.npz").write_bytes((other / "scores.npz").read_bytes())
    args = ["--model", str(case.card), "--results", str(results)]
    assert report.main(args) == 2
    assert "is not of the scores in scores.npz" in capsys.readouterr().err
    bad = case.logits()
    bad[3, 1] = np.nan
    case.run("a", bad)
    assert report.main(args) == 2
    assert "is NaN or infinite" in capsys.readouterr().err


def test_an_empty_result_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    case = Case(tmp_path, videos=0)
    case.ids = []
    results = case.run("a", np.zeros((0, 4), np.float32), print_of=PRINT)
    assert report.main(["--model", str(case.card), "--results", str(results)]) == 2
    assert "hold a name twice, or none" in capsys.readouterr().err


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(report, "_NEEDS", (("no_such_module", "Vega"),))
    assert report.main([]) == 2
    assert (
        "Vega is not installed; pip install -r requirements/core.txt -r requirements/report.txt"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("name", ["report", "compare"])
def test_help_loads_nothing_heavy(name: str) -> None:
    code = (
        f"import sys\nfrom clip2om.scripts.{name}.__main__ import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    print('loaded:', *sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    loaded = {module.split(".")[0] for module in done.stdout.rpartition("loaded:")[2].split()}
    assert loaded & {"numpy", "altair", "jinja2", "vl_convert", "PIL"} == set()
    assert "clip2om" in loaded


def test_a_key_has_one_text() -> None:
    with pytest.raises(AssertionError, match="two texts for 'report'"):
        add({"report": ("Another", "另一个")})
    assert TEXTS["report"][0] == "Report"


@pytest.mark.parametrize("room", ["pages", "report", "compare", "drift"])
def test_every_text_that_a_command_says_is_there_when_it_alone_runs(room: str) -> None:
    # Another command's texts are not loaded then: a whole test run has them all and would not see it.
    said = {
        key
        for path in (ROOT / "scripts" / room).glob("*.py")
        for key in re.findall(r'\b(?:say|Note)\(\s*"(\w+)"', path.read_text(encoding="utf-8"))
    }
    own = {"compare": compare_texts.TEXTS, "drift": drift_texts.TEXTS}.get(room, {})
    assert len(said) > 2
    assert said - WORDS.keys() - own.keys() == set()


def test_both_languages_say_the_same() -> None:
    assert {"triage", "drift_lead"} <= TEXTS.keys() - WORDS.keys()

    def names(text: str) -> set:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    assert {key: pair for key, pair in TEXTS.items() if names(pair[0]) != names(pair[1]) or not all(pair)} == {}
