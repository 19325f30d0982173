"""The part of docs/models.md that is read off the model cards.

python -m scripts.model_docs
python -m scripts.model_docs --check

What stands between the two marks of the page is written anew; the rest of it is written by hand and stays.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Iterable, List, Optional, Sequence

from clip2om.pipeline.card_sampling import KINDS, views_of
from clip2om.pipeline.card_views import crop_names
from clip2om.pipeline.command import Parser, run
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError, ShortfallError
from clip2om.pipeline.places import ROOT

if TYPE_CHECKING:
    from clip2om.pipeline.card import Card, Published

BEGIN = "<!-- from the cards: written by make docs, change models/*.toml instead -->"
END = "<!-- end of what the cards say -->"
_FRAMEWORKS = {
    "onnx": ("ONNX", "graph"),
    "pytorch": ("PyTorch", ".pth"),
    "tensorflow": ("TensorFlow", "a checkpoint of TF1's Saver"),
    "paddle": ("PaddlePaddle", ".pdparams"),
    "mindspore": ("MindSpore", ".ckpt"),
}
# Samplers of the recipes, which have words of their own.
_PLAIN = ("windows", "uniform", "consecutive", "spread")
_STARTS = {
    "first": "from the first frame on",
    "center": "in the middle",
    "even": "evenly spaced",
    "random": "from a random start",
}
_LISTS = {
    "activitynet": "annotation",
    "list": "list of `<frame folder> <label>`",
    "rawframes": "list of `<class>/<video> <frames> <label>`",
    "folders": "class folders",
}


def main(argv: Optional[List[str]] = None) -> int:
    """Run the script; see ``python -m scripts.model_docs --help``."""
    args = _parser().parse_args(argv)
    return run("model-docs", lambda: _update(args))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m scripts.model_docs",
        description="Write what the model cards say into docs/models.md.",
        allow_abbrev=False,
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="default: docs/models.md")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is not up to date")
    parser.add_argument("--quiet", action="store_true", help="only errors")
    return parser


def _update(args: argparse.Namespace) -> int:
    from clip2om.pipeline import cards
    from clip2om.pipeline.artifact import write_if_changed

    page = args.page or ROOT / "docs" / "models.md"
    if not page.is_file():
        raise RequestError("no such file", page, "pass --page FILE with the two marks in it")
    text = page.read_text(encoding="utf-8")
    wanted = updated(text, [cards.load(name) for name in cards.available()], page)
    if args.check and wanted != text:
        raise ShortfallError("says something else than the model cards", page, "make docs")
    written = write_if_changed(page, wanted.encode("utf-8"))
    Console("model-docs", args.quiet).say(f"{page}: {'written' if written else 'up to date'}")
    return 0


def updated(text: str, found: Sequence[Card], where: object) -> str:
    """Return a page with everything between its two marks written anew.

    Raises:
        RequestError: a mark is missing, or they are the wrong way round.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise RequestError(f"does not hold the two lines {BEGIN!r} and {END!r}", where, "put them in")
    return (
        "\n".join([head + BEGIN, "", *overview(found), *[line for card in found for line in section(card)], END]) + tail
    )


def overview(found: Iterable[Card]) -> List[str]:
    """Return the table of all cards, as lines of Markdown."""
    rows = []
    for card in found:
        accuracy = [f"{entry.metric} {_figure(entry)}" for entry in card.published if entry.metric != "throughput"]
        rows.append(
            [
                f"[`{card.name}`](#{card.name})",
                _cell(card.title),
                _FRAMEWORKS[card.model.framework][0],
                f"{_extents(card)} {card.input.layout}",
                _cell(card.dataset.name),
                accuracy[0] if accuracy else "-",
            ]
        )
    return [*_table(["card", "model", "from", "input", "dataset", "published"], rows), ""]


def section(card: Card) -> List[str]:
    """Return everything about one card, as lines of Markdown."""
    lines = [f"### `{card.name}`", "", *_table(["", ""], _facts(card)), ""]
    if card.published:
        lines += ["Published by others, not measured by this project:", ""]
        head = ["metric", "value", "data", "hardware", "source"]
        rows = [[entry.metric, _figure(entry), entry.data, entry.hardware, entry.source] for entry in card.published]
        lines += [*_table(head, [[_cell(cell) for cell in row] for row in rows]), ""]
    return [*lines, *comment(Path(card.path)), ""]


def comment(path: Path) -> List[str]:
    """Return the comment at the head of a card as Markdown: indented lines are commands, others text."""
    lines: List[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        text = line[1:]
        code, former = text.startswith("   "), bool(lines) and lines[-1].startswith("    ")
        if lines and code != former:
            lines.append("")
        lines.append(f"    {_command(text.strip())}" if code else text.strip().replace("<", "&lt;"))
    return lines


def _command(text: str) -> str:
    """Return a command with a remark in brackets, several blanks behind it, as one that a shell takes."""
    command, gap, remark = text.partition("  ")
    if gap and remark.strip().startswith("(") and remark.endswith(")"):
        return f"{command}    # {remark.strip()[1:-1]}"
    return text


def _facts(card: Card) -> List[List[str]]:
    framework, kind = _FRAMEWORKS[card.model.framework]
    graph = card.export.format or _default_format(card)
    origin = f": {_cell(card.model.origin)}" if card.model.origin else ""
    facts = [
        ["from", f"{framework} ({kind}) to {graph}"],
        ["network", f"`{card.model.network}`, {card.model.classes} classes{_parameters(card)}"],
        ["input", f"`{card.input.name}` {card.input.dtype} {_extents(card)} {card.input.layout}"],
        ["output", f"`{card.export.output_name}`, {_output(card)}"],
        ["clips", _clips(card)],
        ["frames", _frames(card)],
        ["score of a video", _score(card)],
        ["dataset", _dataset(card)],
        ["checkpoint", f"`{card.model.checkpoint}`{origin}"],
    ]
    if card.atc:
        atc = card.atc
        words = f"`--framework={atc.framework} --input_format={atc.input_format} --precision_mode={atc.precision_mode}`"
        facts.append(["ATC", words])
    return facts


def _default_format(card: Card) -> str:
    from clip2om.export.frameworks import FRAMEWORKS

    return FRAMEWORKS[card.model.framework].formats[0]


def _parameters(card: Card) -> str:
    """Return the arguments of the network."""
    odd = [f"{key} {value}" for key, value in card.model.arguments.items()]
    return f"; {', '.join(odd)}" if odd else ""


def _extents(card: Card) -> str:
    return "x".join(map(str, (card.input.batch, *card.input.shape)))


def _output(card: Card) -> str:
    what = "probabilities" if card.export.softmax else "logits"
    if "K" not in card.input.layout:
        return f"{what}, one row per clip"
    return f"{what}, the mean over a video's clips" if card.export.average_clips else f"{what}, a row for each clip"


def _clips(card: Card) -> str:
    clips = card.clips
    if clips.sampler == "windows":
        cut = f", at most {clips.max_clips} per video" if clips.max_clips else ", all of them"
        return f"windows of {clips.frames} frames, {clips.stride} apart{cut}"
    number = views_of(clips) if clips.sampler not in _PLAIN else clips.count
    several = f"{number} clips" if number > 1 else "1 clip" if number else "clips"
    if clips.sampler not in _PLAIN:
        apart = f", {clips.interval} apart" if clips.interval > 1 else ""
        rate = f" at {clips.rate:g} frames/s" if clips.rate else ""
        return f"{several} of {clips.frames} frames{apart}{rate} (`{clips.sampler}`: {KINDS[clips.sampler].says})"
    if clips.sampler == "uniform":
        return f"{several} of {clips.frames} frames, in the middle of equal parts of the video"
    where = _STARTS[clips.start] + (f" (seed {clips.seed})" if clips.start == "random" else "")
    if clips.sampler == "consecutive":
        return f"{several} of {clips.frames} neighbouring frames, {where}"
    order = ", frames in the order of their file names" if clips.order == "lexicographic" else ""
    return f"{several} of {clips.frames} frames spread over {clips.span}, {where}{order}"


def _frames(card: Card) -> str:
    transform = card.transform
    rule = {
        "short": f"shorter side to {transform.resize}",
        "height": f"height to {transform.resize}",
        "box": f"into {transform.long}x{transform.resize}",
        "stretch": f"to {transform.long}x{transform.resize}",
    }[transform.rule]
    size = f"{transform.size}x{transform.size}"
    values = ", ".join(f"{value:g}" for value in transform.mean)
    deviations = ", ".join(f"{value:g}" for value in transform.std)
    mean = f"the mean volume `{transform.mean_volume}`" if transform.mean_volume else f"({values})"
    scaled = f"x / {transform.scale:g}" if transform.scale != 1 else "x"
    divided = f", divided by ({deviations})" if any(value != 1 for value in transform.std) else ""
    crops = len(crop_names(transform))
    crop = f"{transform.crop} crop {size}" if crops == 1 else f"{crops} crops {size} ({transform.crop})"
    head = f"{rule} ({transform.kernel}), {crop}, {transform.color}"
    return f"{head}; {scaled} less {mean}{divided}"


def _score(card: Card) -> str:
    what = {"softmax": "probabilities (softmax of each clip)", "none": "outputs as they are"}[card.scores.activation]
    views = "clips'" if len(crop_names(card.transform)) == 1 else "views'"
    average = {"mean": "mean of the", "largest": "largest of the", "votes": "votes by the"}[card.scores.averaging]
    first = ", after the mean over the frames of each" if card.scores.rows == "frame" else ""
    return f"{average} {views} {what}{first}"


def _dataset(card: Card) -> str:
    dataset = card.dataset
    names = f", frames `{dataset.frame_name}`" if dataset.format != "folders" else ""
    labels = f", classes in `models/labels/{dataset.labels}.txt`" if dataset.labels else ""
    where = f"{_LISTS[dataset.format]} `{dataset.annotation}`, videos below `{dataset.videos}`"
    return f"{_cell(dataset.name)}, {dataset.subset}: {where.replace('|', '')}{names}{labels}"


def _figure(entry: Published) -> str:
    if not entry.unit.startswith("fraction"):
        return f"{entry.value:g} {_cell(entry.unit)}"
    # 0.8327 "fraction of 3783 videos" is 83.27 % of 3783 videos.
    return f"{entry.value * 100:.5g} %{_cell(entry.unit[len('fraction') :])}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _table(head: List[str], rows: Sequence[Sequence[str]]) -> List[str]:
    return [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]]


if __name__ == "__main__":
    sys.exit(main())
