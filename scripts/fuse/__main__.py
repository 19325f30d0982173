"""Late fusion of two runs over the same videos: the weighted mean of their scores, counted and compared with each.

python -m scripts.fuse build/rgb/results/cpu-b10 build/flow/results/cpu-b10 --weights 1,1.5
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Optional, Tuple

from clip2om.pipeline.command import Parser, fraction, positive, run
from clip2om.pipeline.console import Console

if TYPE_CHECKING:
    from clip2om.postprocess.accuracy import Outcome
    from clip2om.scripts.pages.run import Run

_EXAMPLE = "python -m scripts.fuse build/rgb/results/cpu-b10 build/flow/results/cpu-b10 --weights 1,1.5"
VERSION = 1


def main(argv: Optional[List[str]] = None) -> int:
    """Run the script; see ``python -m scripts.fuse --help``."""
    args = _parser().parse_args(argv)
    return run("fuse", lambda: _fuse(args))


def weights(text: str) -> Tuple[float, float]:
    """Return two weights from ``1,1.5``; raises ValueError, as argparse wants it, for anything else."""
    parts = [float(part) for part in text.split(",")]
    if len(parts) != 2 or not all(math.isfinite(part) and part >= 0 for part in parts) or not sum(parts):
        raise ValueError(text)
    return parts[0], parts[1]


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m scripts.fuse",
        description="Average the scores of two runs over the same videos and count the result.",
        epilog=f"example:\n  {_EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("a", metavar="A", help="results of a run: the folder with accuracy.json, or one above it")
    add("b", metavar="B", help="results of the other run")
    add("--weights", type=weights, default=(1.0, 1.0), metavar="A,B", help="weights of the two (default: 1,1)")
    add("-k", type=positive, default=1, metavar="K", help="classes per video, and the k of --min-accuracy (default: 1)")
    add("--min-accuracy", type=fraction, metavar="X", help="exit 1 if top-K falls short of X (0 to 1)")
    add("--annotation-path", metavar="FILE", help="ground truth, where runs were counted with another than their own")
    add("--output", metavar="DIR", help="for val.json, accuracy.json, scores.npz, fuse.json (default: build/fuse/A-B)")
    add("--quiet", action="store_true", help="only warnings and results")
    return parser


def _fuse(args: argparse.Namespace) -> int:
    from clip2om.pipeline.artifact import digest_of, write_json
    from clip2om.postprocess import results, show
    from clip2om.postprocess.accuracy import check_gate
    from clip2om.scripts.fuse.fusion import fuse
    from clip2om.scripts.pages.run import find_results, folders_of, load

    console = Console("fuse", args.quiet)
    a, b = (load(folders_of(find_results(Path(path))), args.annotation_path) for path in (args.a, args.b))
    outcome = fuse(a, b, args.weights, args.k)
    names = "-".join(f"{item.accuracy.origin.card}-{item.name}" for item in (a, b))
    own = digest_of([str(item.folders.results.resolve()) for item in (a, b)])[:8]
    output = Path(args.output or Path("build", "fuse") / f"{names}-{own}")
    results.write(outcome, output, with_scores=True)
    changes = {letter: change(item, outcome, args.k) for letter, item in (("A", a), ("B", b))}
    sides = {letter: str(item.folders.results) for letter, item in (("a", a), ("b", b))}
    payload = {**sides, "weights": list(args.weights), "against": changes}
    write_json(output / "fuse.json", "fusion", VERSION, payload)
    show.accuracy(console, outcome.accuracy)
    for letter, found in changes.items():
        console.result(
            f"against {letter}: {found['right']} of {found['total']} right there; the fusion gains {found['gained']} "
            f"and loses {found['lost']}, McNemar p = {found['p']:.3g}"
        )
    console.result(f"weights {args.weights[0]:g} and {args.weights[1]:g}, written to {output}")
    check_gate(outcome.accuracy, args.min_accuracy, output / results.ACCURACY)
    console.result(show.verdict(outcome.accuracy, args.min_accuracy))
    return 0


def change(single: Run, fused: Outcome, k: int) -> Dict[str, float]:
    """Return what the fusion changes against one of its runs, over the videos that both count."""
    from clip2om.scripts.compare.paired import hits, hits_of, mcnemar

    before, after = hits(single, k), hits_of(fused, k)
    shared = [name for name in before if name in after]
    gained = sum(after[name] and not before[name] for name in shared)
    lost = sum(before[name] and not after[name] for name in shared)
    right = sum(before[name] for name in shared)
    return {"right": right, "total": len(shared), "gained": gained, "lost": lost, "p": mcnemar(lost, gained)}


if __name__ == "__main__":
    sys.exit(main())
