"""Finding the result of each batch file in the folder of any runner.

Names come from the manifest and are looked for; they are never derived from what a folder happens to hold:

    ours, ais_bench, MindSpore     <name up to its first dot>_0.bin    (ais_bench: .npy and .txt too)
    ais_bench with --pipeline      <name without its ending>_0.bin
    msame                          <name without its ending>_output_0.bin or .txt

ais_bench and msame put them into a folder named after the time of the run, and ais_bench with several devices into a
folder per device below it (``device0``, ``device0_0``). Only output 0 is read: it holds the logits.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from clip2om.pipeline.artifact import load_json
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.records import Summary, read_record

SUMMARY = "summary.json"
ENDINGS = (".bin", ".npy", ".txt")
# The runner of this project keeps it while it works, and writes summary.json at the end.
_JOURNAL = ".progress.jsonl"
_DEVICE = re.compile(r"device\d+(_\d+)?")
_TODO = "run python -m infer first, or give the folder of one run"


@dataclass(frozen=True)
class Located:
    """Where the results are.

    Attributes:
        run: Folder of the run.
        paths: Batch file to result file, for those that have one.
        extra: Result files that belong to no batch file.
        summary: Record of our own runner, None where another one wrote the folder.
    """

    run: Path
    paths: Dict[str, Path]
    extra: List[Path]
    summary: Optional[Summary]


def locate(folder: Path, files: Sequence[str], unused: Sequence[str] = ()) -> Located:
    """Find the results of the batch files ``files`` in ``folder`` or in the only run below it.

    Args:
        folder: Of a run, or of runs.
        files: Batch files whose results are read.
        unused: Batch files whose results are not: every video in them was skipped while they were made.

    Raises:
        RequestError: no run or several; a name in two folders or with two endings; one result for two batch files;
            a file that our own summary names is not there.
    """
    wanted = {file: _stems(file) for file in files}
    run = _find_run(folder, {stem for stems in wanted.values() for stem in stems})
    summary = _own_summary(run)
    found = _results_by_stem(run)
    paths = _ours(run, summary, files) if summary else _theirs(wanted, found)
    return Located(run, paths, _extra(found, paths, unused), summary)


def _stems(file: str) -> List[str]:
    last = file.rpartition(".")[0] or file
    return list(dict.fromkeys([f"{last}_0", f"{last}_output_0", f"{file.partition('.')[0]}_0"]))


def _find_run(folder: Path, stems: set) -> Path:
    if not folder.is_dir():
        raise RequestError("no such folder", folder, _TODO)
    if _is_run(folder, stems):
        return folder
    runs = [path for path in sorted(folder.iterdir()) if path.is_dir() and _is_run(path, stems)]
    if len(runs) > 1:
        names = ", ".join(path.name for path in runs[:5])
        raise RequestError(f"holds {len(runs)} runs ({names})", folder, "give one of them with --scores")
    if not runs:
        raise RequestError(f"holds no result file, for example {min(stems)}.bin", folder, _TODO)
    return runs[0]


def _is_run(folder: Path, stems: set) -> bool:
    return (folder / SUMMARY).is_file() or not stems.isdisjoint(_results_by_stem(folder))


def _results_by_stem(folder: Path) -> Dict[str, List[Path]]:
    """Return the result files of a run by name without ending; summaries and hidden files are none."""
    found: Dict[str, List[Path]] = {}
    below = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if _DEVICE.fullmatch(entry.name) and entry.is_dir():
            below.append(entry.path)
        stem, ending = os.path.splitext(entry.name)
        if ending.lower() in ENDINGS and not entry.name.startswith("."):
            found.setdefault(stem, []).append(Path(entry.path))
    for device in below:
        for stem, paths in _results_by_stem(Path(device)).items():
            found.setdefault(stem, []).extend(paths)
    return found


def _own_summary(run: Path) -> Optional[Summary]:
    path = run / SUMMARY
    data = load_json(path, _TODO) if path.is_file() else None
    if isinstance(data, dict) and data.get("kind") == "clip2om.scores":
        return read_record(path, Summary, "run python -m infer again")
    if (run / _JOURNAL).is_file():
        raise RequestError("python -m infer has not finished here", run, "run the same command again to resume it")
    return None


def _ours(run: Path, summary: Summary, files: Sequence[str]) -> Dict[str, Path]:
    named = {item.source: run / item.name for item in summary.files if item.index == 0}
    paths = {file: named[file] for file in files if file in named}
    for path in paths.values():
        if not path.is_file():
            raise RequestError(f"{SUMMARY} names this result, but it is not there", path, "run python -m infer again")
    return paths


def _theirs(wanted: Dict[str, List[str]], found: Dict[str, List[Path]]) -> Dict[str, Path]:
    paths: Dict[str, Path] = {}
    owner: Dict[Path, str] = {}
    for file, stems in wanted.items():
        stem = next((stem for stem in stems if stem in found), None)
        if stem is None:
            continue
        if len(found[stem]) > 1:
            both = " and ".join(str(path) for path in found[stem][:2])
            raise RequestError(f"two results for {file}", both, "give the folder of one of them with --scores")
        (path,) = found[stem]
        if path in owner:
            raise RequestError(
                f"could be the result of {owner[path]} and of {file}: the runner cuts names at a dot",
                path,
                "preprocess with --file-names safe and run again",
            )
        owner[path] = file
        paths[file] = path
    return paths


def _extra(found: Dict[str, List[Path]], paths: Dict[str, Path], unused: Sequence[str]) -> List[Path]:
    """Return the result files that are neither of a batch nor further outputs (``_1``, ``_2`` ...) of one."""
    read = {path.stem for path in paths.values()} | {stem for file in unused for stem in _stems(file)}
    return [path for stem, group in found.items() if re.sub(r"\d+$", "0", stem) not in read for path in group]
