"""Two runs side by side: where they part, which videos changed sides, how far the scores moved, which is faster.

python -m scripts.compare build/3d_resnet/results/cpu-b10 build/3d_resnet/results/Ascend310P3-b10 --max-drop 0.005
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

from clip2om.pipeline.command import Parser, count, fraction, positive, run
from clip2om.pipeline.console import Console, size
from clip2om.pipeline.errors import RequestError, ShortfallError

if TYPE_CHECKING:
    from clip2om.pipeline.card import Card
    from clip2om.scripts.compare.paired import Paired
    from clip2om.scripts.pages.run import Run

_EXAMPLE = "python -m scripts.compare build/3d_resnet/results/cpu-b10 build/3d_resnet/results/Ascend310P3-b10"
# Differences of proportions carry rounding errors of this size at most.
_ROUNDING = 1e-9


def main(argv: Optional[List[str]] = None) -> int:
    """Run the script; see ``python -m scripts.compare --help``."""
    args = _parser().parse_args(argv)
    return run("compare", lambda: _compare(args))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m scripts.compare",
        description="Compare run B with run A. Exit 1 if the accuracy drops by more than --max-drop.",
        epilog=f"example:\n  {_EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("a", metavar="A", help="results of a run: the folder with accuracy.json, or one above it")
    add("b", metavar="B", help="results of the other run")
    add(
        "-k",
        type=positive,
        default=1,
        metavar="K",
        help="a video is right if its class is among the best K (default: 1)",
    )
    add(
        "--max-drop",
        type=fraction,
        metavar="X",
        help="exit 1 if B's accuracy is lower than A's by more than X (0 to 1)",
    )
    add(
        "--different-inputs", action="store_true", help="compare accuracies of differently prepared inputs all the same"
    )
    add("--model", metavar="CARD", help="card that names the dataset, for film strips (default: that of run B)")
    add("--video-path", metavar="DIR", help="the dataset, for film strips (default: the card's)")
    add("--annotation-path", metavar="FILE", help="default: the card's")
    add("--strips", type=count, default=12, metavar="N", help="film strips of each kind, 0 for none (default: 12)")
    add("--output", metavar="DIR", help="for compare.json and compare.html (default: build/compare/A-B)")
    add("--quiet", action="store_true", help="only warnings and results")
    return parser


def _compare(args: argparse.Namespace) -> int:
    from clip2om.scripts.report.__main__ import require_libraries

    require_libraries()
    from clip2om.pipeline.artifact import clean_folder, write_json, write_text
    from clip2om.scripts.compare import page, show
    from clip2om.scripts.compare.comparison import compare, refusal
    from clip2om.scripts.pages.render import render
    from clip2om.scripts.pages.strips import Place

    console = Console("compare", args.quiet)
    a, b = _load(args.a, args), _load(args.b, args)
    found = compare(a, b, args.k, args.different_inputs, console)
    output = Path(args.output or _default(a, b))
    place = Place(_card(args.model or b.accuracy.origin.card, bool(args.model)), args.video_path, args.annotation_path)
    shown = page.page(a, b, found, place, args.strips)
    content = render(shown)
    with clean_folder(output):
        write_json(output / "compare.json", "comparison", show.VERSION, show.payload(found))
        write_text(output / "compare.html", content)
    for note in shown.content["notes"]:
        console.say(str(note))
    show.comparison(console, found)
    console.result(f"compare: {output / 'compare.html'} ({size((output / 'compare.html').stat().st_size)})")
    if found.accuracy is None:
        raise refusal(found)
    console.result(show.verdict(found.accuracy))
    _gate(found.accuracy, args.max_drop, b)
    return 0


def _load(path: str, args: argparse.Namespace) -> Run:
    from clip2om.scripts.pages.run import find_results, folders_of, load

    return load(folders_of(find_results(Path(path))), args.annotation_path)


def _default(a: Run, b: Run) -> Path:
    """Return a folder of its own for each pair of runs, whose names tell them apart."""
    mine, yours = (f"{run.accuracy.origin.card}-{run.name}" for run in (a, b))
    return Path("build", "compare") / (f"{mine}-{yours}" if mine != yours else f"{mine}-{_own(a)}-{_own(b)}")


def _own(run: Run) -> str:
    """Return what tells runs of one name apart: where they lie, because two runners may give the same scores."""
    from clip2om.pipeline.artifact import digest_of

    return digest_of(str(run.folders.results.resolve()))[:8]


def _card(name: str, asked: bool) -> Optional[Card]:
    """Return the card; one that nobody asked for need not be there, it only leads to the frames."""
    from clip2om.pipeline import cards

    try:
        return cards.load(name)
    except RequestError:
        if asked:
            raise
        return None


def _gate(found: Paired, allowed: Optional[float], b: Run) -> None:
    """Compare the drop with what is allowed.

    Raises:
        ShortfallError: it is larger; names both accuracies.
    """
    if allowed is None or -found.difference <= allowed + _ROUNDING:
        return
    before, after = (item.hits / item.total for item in (found.a, found.b))
    raise ShortfallError(
        f"top-{found.k} accuracy drops by {-found.difference:.4f}, from {before:.4f} to {after:.4f} "
        f"({found.a.hits} and {found.b.hits} of {found.a.total}), allowed were {allowed:.4f}",
        b.folders.results,
    )


if __name__ == "__main__":
    sys.exit(main())
