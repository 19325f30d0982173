"""What a run did, as one HTML file: accuracy, confusions, film strips, speed; it needs no server and no network.

python -m scripts.report --model 3d_resnet_demo --results build/3d_resnet_demo/results/cpu-b10
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import List, Optional

from clip2om.pipeline.command import count, run, stage_parser
from clip2om.pipeline.console import Console, size
from clip2om.pipeline.errors import RequestError

_EXAMPLE = "python -m scripts.report --model 3d_resnet --results build/3d_resnet/results/Ascend310P3-b10"
_FOLDERS = ("scores", "compiled", "graph", "batches")
_NEEDS = (
    ("jinja2", "Jinja2"),
    ("altair", "altair"),
    ("vl_convert", "vl-convert-python"),
    ("numpy", "numpy"),
    ("PIL", "Pillow"),
)


def main(argv: Optional[List[str]] = None) -> int:
    """Run the script; see ``python -m scripts.report --help``."""
    args = _parser().parse_args(argv)
    return run("report", lambda: _report(args))


def _parser() -> argparse.ArgumentParser:
    parser = stage_parser("scripts.report", "Write report.html beside the results of a run.", _EXAMPLE)
    add = parser.add_argument
    add("--results", metavar="DIR", help="folder with accuracy.json and scores.npz (default: build/CARD)")
    for name in _FOLDERS:
        add(f"--{name}", metavar="DIR", help="default: where the stages put it, seen from --results")
    add("--video-path", metavar="DIR", help="the dataset, for film strips (default: the card's)")
    add("--annotation-path", metavar="FILE", help="default: the card's")
    add("--strips", type=count, default=12, metavar="N", help="film strips of each kind, 0 for none (default: 12)")
    add("--output", metavar="FILE", help="default: report.html in the folder of the results")
    return parser


def require_libraries() -> None:
    """Check that the libraries of the pages are installed, without loading them.

    Raises:
        RequestError: naming the first that is not.
    """
    from importlib.util import find_spec

    for module, package in _NEEDS:
        if find_spec(module) is None:
            todo = "pip install -r requirements/core.txt -r requirements/report.txt"
            raise RequestError(f"{package} is not installed", sys.executable, todo)


def _report(args: argparse.Namespace) -> int:
    require_libraries()
    from clip2om.pipeline import cards
    from clip2om.pipeline.artifact import clean_folder, write_if_changed
    from clip2om.pipeline.places import build_folder
    from clip2om.scripts.pages.render import render
    from clip2om.scripts.pages.run import find_results, folders_of, load
    from clip2om.scripts.pages.strips import Place
    from clip2om.scripts.report.page import report

    console = Console("report", args.quiet)
    card = cards.load(args.model, args.set)
    results = find_results(Path(args.results or build_folder(card.name)))
    given = {name: Path(getattr(args, name)) for name in _FOLDERS if getattr(args, name)}
    found = load(replace(folders_of(results), **given), args.annotation_path)
    if found.accuracy.origin.card != card.name:
        mine = found.accuracy.origin.card
        raise RequestError(f"is of card {mine}, not {card.name}", results, f"pass --model {mine}")
    page = report(found, Place(card, args.video_path, args.annotation_path), args.strips)
    for note in page.content["notes"]:
        console.say(str(note))
    output = Path(args.output or results / "report.html")
    content = render(page).encode("utf-8")
    with clean_folder(output.parent):
        write_if_changed(output, content)
    console.result(f"report: {output} ({size(output.stat().st_size)})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
