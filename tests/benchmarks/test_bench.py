"""The benchmarks run and say what they found; how fast anything is, no test says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clip2om.benchmarks import report
from clip2om.benchmarks.row import AT_LEAST, AT_MOST, Growth, Row
from clip2om.pipeline.errors import RequestError
from tests.command import refused, stage

_ROWS = [
    Row("infer", "against a loop", "clips/s", (99.0, 101.0, 100.0), (100.0, 100.0, 100.0), 0.97, AT_LEAST, "batch 10"),
    Row("start-up", "--help", "s", (0.4, 0.5, 0.6), (), 0.3, AT_MOST),
]


def _bench(page: Path, *more: object) -> Any:
    return stage("benchmarks", "--quick", "--page", page, *more)


def test_page_keeps_what_is_written_by_hand(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("# Mine\n\n<!-- make bench writes from here -->\nold\n<!-- to here -->\n\nmine too\n")
    growth = [Growth("infer", "s", (1, 2, 4, 8), (1.0, 2.0, 4.0, 8.0))]
    found = report.measured("2026-11-24", 3, _ROWS, growth, {"memory": "no /proc"})
    report.write(found, page, tmp_path / "benchmarks.json")
    text = page.read_text()
    assert text.startswith("# Mine\n")
    assert text.endswith("<!-- to here -->\n\nmine too\n")
    assert "old" not in text
    assert "| infer | against a loop | 100 clips/s (99 to 101) | 100 clips/s (100 to 100) | 1 (0.99 to 1.01) |" in text
    assert "| start-up | --help | 0.5 s (0.4 to 0.6) | none | 0.5 s (0.4 to 0.6) | at most 0.3 s | no |" in text
    assert "- infer, against a loop: batch 10." in text
    assert "| infer | 1, 2, 4, 8 | 1, 2, 4, 8 s | 1.00 |" in text
    assert "Not measured: memory (no /proc)." in text
    record = json.loads((tmp_path / "benchmarks.json").read_text())
    assert [row["met"] for row in record["rows"]] == [True, False]
    assert record["growths"][0]["exponent"] == pytest.approx(1)
    assert report.missed(found) == _ROWS[1:]


def test_page_without_a_place_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Another page\n")
    with pytest.raises(RequestError, match="put them where the table belongs"):
        report.write(report.measured("", 1, _ROWS, [], {}), page, tmp_path / "page.json")
    assert page.read_text() == "# Another page\n"


def test_two_benchmarks_from_the_command_line(tmp_path: Path) -> None:
    done = _bench(tmp_path / "page.md", "--only", "startup", "--only", "postprocess")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "page.json").read_text())
    assert {row["stage"] for row in record["rows"]} == {"start-up", "postprocess"}
    assert len(record["rows"]) == 6
    assert record["growths"][0]["stage"] == "postprocess"
    assert "6 rows as asked" in done.stdout
    assert "| python -m infer --help |" in (tmp_path / "page.md").read_text()


def test_unknown_benchmark_is_refused(tmp_path: Path) -> None:
    refused(_bench(tmp_path / "page.md", "--only", "nothing"), "'nothing' is not a benchmark", "startup")


@pytest.mark.slow
def test_every_benchmark_runs(tmp_path: Path) -> None:
    done = _bench(tmp_path / "page.md", "--rounds", 1)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "page.json").read_text())
    stages = {row["stage"] for row in record["rows"]}
    assert {"infer, 3d_resnet_demo", "streaming, CPU", "streaming, NPU", "postprocess", "start-up"} <= stages
    assert {"preprocess", "infer", "postprocess", "streaming"} <= {item["stage"] for item in record["growths"]}
