"""What an error code of ATC, the graph engine, the runtime or ACL means, what to try, and the check that belongs to it.

python -m scripts.explain E10016 --model 3d_resnet
python -m scripts.explain --log build/3d_resnet/compiled/Ascend310P3-b10/atc.log
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import List, Optional

from clip2om.pipeline.ascend_codes import Meaning, Text, codes_in, find, words_with
from clip2om.pipeline.command import Parser, run
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.opening import read_regular
from clip2om.pipeline.texts import MOST_BYTES

_EXAMPLE = "python -m scripts.explain E10016 107002\n  atc ... 2>&1 | python -m scripts.explain --log -"
_HEADS = (Text("meaning", "含义"), Text("cause", "可能原因"), Text("try", "建议"))
_EVIDENCE = {
    "D": Text("vendor documentation", "厂商文档"),
    "S": Text("public source", "公开源码"),
    "O": Text("seen in public logs", "公开日志"),
    "I": Text("inferred", "推断"),
}


def main(argv: Optional[List[str]] = None) -> int:
    """Run the script; see ``python -m scripts.explain --help``."""
    args = _parser().parse_args(argv)
    return run("explain", lambda: _explain(args))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m scripts.explain",
        description="Explain error codes of the CANN tools.",
        epilog=f"example:\n  {_EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("codes", nargs="*", metavar="CODE", help="E10016, 107002, 0x7BC80, or a line of a log that holds some")
    add("--log", metavar="FILE", help="explain every code in a log; - reads stdin")
    add("--lang", choices=("en", "zh", "both"), default="both", help="default: both")
    add("--model", metavar="CARD", help="check the graph of this card where the code is about its inputs")
    add("--graph", metavar="DIR", help="folder of the graph (default: build/CARD/graph)")
    return parser


def _explain(args: argparse.Namespace) -> int:
    from clip2om.scripts.explain.checks import check

    console = Console("explain")
    text = "\n".join([*args.codes, _log(args.log) if args.log else ""])
    codes = _codes(args, text)
    meanings = {code: find(code, words_with(code, text)) for code in codes}
    known = {code: meaning for code, meaning in meanings.items() if meaning}
    for number, (code, meaning) in enumerate(known.items()):
        if number:
            console.result()
        _show(meaning, code, args.lang, console)
        for line in check(meaning.code, text, args.model, args.graph):
            console.result(f"  check: {line}")
    unknown = [code for code in codes if code not in known]
    if unknown:
        raise RequestError(
            "not a code this release knows", ", ".join(unknown), "look at the lines around it in the log"
        )
    return 0


def _codes(args: argparse.Namespace, text: str) -> List[str]:
    """Return the codes asked for: an argument is a code, or a line of a log that holds some."""
    codes: List[str] = []
    for given in args.codes:
        codes += [given] if find(given) else codes_in(given) or [given]
    if args.log:
        codes += codes_in(text)
    if not codes:
        where = args.log or "no code"
        raise RequestError("holds no code" if args.log else "nothing to explain", where, "pass a code, or --log FILE")
    return list(dict.fromkeys(codes))


def _log(name: str) -> str:
    if name == "-":
        return sys.stdin.read()
    return read_regular(Path(name), MOST_BYTES).decode("utf-8", "replace")


def _show(meaning: Meaning, code: str, language: str, console: Console) -> None:
    spelled = "" if code.upper() == meaning.code else f" ({code})"
    console.result(f"{meaning.title}{spelled}")
    marks = [_EVIDENCE[mark] for mark in meaning.evidence.split("+")]
    for chosen in ("en", "zh") if language == "both" else (language,):
        for head, text in zip(_HEADS, (meaning.meaning, meaning.cause, meaning.todo)):
            console.result(f"  {getattr(head, chosen)}: {getattr(text, chosen)}")
        source = ", ".join(getattr(mark, chosen) for mark in marks)
        console.result(f"  {'source' if chosen == 'en' else '依据'}: {source}")


if __name__ == "__main__":
    sys.exit(main())
