"""Write a model card from a checkpoint or a graph, and a folder of class folders of videos.

python -m scripts.card model_4.pth --videos data --output mine.toml
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Optional, Sequence

from clip2om.pipeline.command import Parser, run
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command and return its exit code: 0 done, 2 the request is wrong."""
    args = make_parser().parse_args(argv)
    return run("card", lambda: write(args))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = Parser(prog="python -m scripts.card", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("source", type=Path, metavar="FROM", help="a PyTorch checkpoint, or an ONNX graph")
    add("--videos", type=Path, metavar="DIR", help="a folder of class folders of videos, or of folders of frames")
    add("--output", type=Path, metavar="FILE", help="the card to write (default: NAME.toml here)")
    add("--make", action="store_true", help=argparse.SUPPRESS)
    add("--quiet", action="store_true", help="only warnings and results")
    return parser


def write(args: argparse.Namespace) -> int:
    """Look at the files and write the card and the labels."""
    from clip2om.pipeline import cards
    from clip2om.pipeline.artifact import replacing
    from clip2om.pipeline.file_kinds import is_onnx
    from clip2om.pipeline.foreign_graphs import foreign_graph
    from clip2om.scripts.card import dataset

    console = Console("card", args.quiet)
    foreign = foreign_graph(args.source) if args.source.exists() else None
    if foreign:
        raise RequestError(f"{foreign[0]}, a card is written from ONNX", args.source, foreign[1])
    if not args.source.is_file():
        raise RequestError("no such file", args.source, "check FROM")
    target = args.output or Path(f"{args.source.name.split('.')[0]}.toml")
    if target.exists():
        raise RequestError("is there already", target, "name another file, or move it away")
    graph = is_onnx(args.source)
    if graph:
        from clip2om.scripts.card import graph as kind
    else:
        from clip2om.scripts.card import weights as kind  # type: ignore[no-redef]
    draft = kind.describe(args.source, console)
    labels = dataset.describe(draft, args.videos, target, console) if args.videos else []
    if labels:
        listed = target.with_name(f"{target.stem}_labels.txt")
        with replacing(listed) as temporary:
            temporary.write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    with replacing(target) as temporary:
        temporary.write_text(draft.toml(args.source.name), encoding="utf-8")
    card = cards.load(str(target))
    card.class_names()
    console.result(f"{target}: {card.title}")
    if draft.untold:
        console.result(f"not told by the files, marked in the card: {', '.join(draft.untold)}")
    verb, flag = ("make", "MODEL=") if args.make else ("clip2om", "--model ")
    data = "" if args.videos else (" VIDEO_PATH=DIR ANNOTATION_PATH=DIR" if args.make else " --video-path DIR ...")
    console.result(f"next: {verb} accuracy {flag}{target}{data}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
