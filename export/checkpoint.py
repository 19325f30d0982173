"""``python -m export.checkpoint``: the weights of one network under the names of another framework.

Only names change; the data are never touched. PyTorch and MindSpore do not share a virtual environment, so a
conversion between them goes through a neutral .npz, which holds the arrays under PyTorch's names::

    .venv/torch/bin/python -m export.checkpoint save_700.pth weights.npz --model resnet3d_mindspore
    .venv/mindspore/bin/python -m export.checkpoint weights.npz save_700.ckpt --model resnet3d_mindspore

``make checkpoint FROM=save_700.pth TO=save_700.ckpt MODEL=resnet3d_mindspore`` does both steps.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Optional, Sequence

from clip2om.pipeline.command import run, stage_parser

if TYPE_CHECKING:
    from clip2om.export.neutral import State
    from clip2om.pipeline.card import Card
    from clip2om.pipeline.console import Console

# Each module has read_arrays and write_arrays; what they exchange has PyTorch's names.
_MODULES = {
    ".pth": "clip2om.export.pytorch.arrays",
    ".pt": "clip2om.export.pytorch.arrays",
    ".ckpt": "clip2om.export.mindspore.arrays",
    ".npz": "clip2om.export.neutral",
}
_LIBRARIES = {
    "clip2om.export.pytorch.arrays": ("pytorch", "torch"),
    "clip2om.export.mindspore.arrays": ("mindspore", "mindspore"),
}


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Convert one checkpoint and return the exit code: 0 done, 2 the request is wrong."""
    args = _parser().parse_args(argv)
    return run("checkpoint", lambda: convert(args))


def _parser() -> argparse.ArgumentParser:
    parser = stage_parser(
        "export.checkpoint",
        "Rename the weights of a checkpoint for another framework: .pth (PyTorch), .ckpt (MindSpore), .npz (neutral).",
        "python -m export.checkpoint save_700.pth weights.npz --model resnet3d_mindspore",
    )
    parser.add_argument("source", type=Path, metavar="FROM", help="trained weights")
    parser.add_argument("target", type=Path, metavar="TO", help="file to write; one that is there is replaced")
    return parser


def convert(args: argparse.Namespace) -> int:
    """Read ``args.source``, rename its entries and write ``args.target``."""
    from clip2om.pipeline import cards
    from clip2om.pipeline.console import Console
    from clip2om.pipeline.errors import RequestError

    console = Console("checkpoint", args.quiet)
    card = cards.load(args.model, args.set)
    names = [_module_name(path) for path in (args.source, args.target)]
    if names[0] == names[1]:
        raise RequestError("is of the same kind as what it is made from", args.target, "copy the file")
    if not args.source.is_file():
        raise RequestError("no such checkpoint", args.source, "check the path")
    reader, writer = (_load(name, args) for name in names)
    state, left = reader.read_arrays(args.source)
    _check_network(state, args.source, card, console)
    dropped = writer.write_arrays(state, args.target)
    _report(args.target, len(state) - len(dropped), [*left, *dropped], console)
    return 0


def _module_name(path: Path) -> str:
    from clip2om.pipeline.errors import RequestError
    from clip2om.pipeline.file_kinds import is_pytorch

    # Lightning calls its checkpoints .ckpt too, and others .pth.tar, .pyth, .bin or .safetensors.
    if path.suffix != ".npz" and path.is_file() and is_pytorch(path):
        return _MODULES[".pth"]
    if path.suffix not in _MODULES:
        raise RequestError(f"is a file {path.suffix or 'without suffix'}, expected {', '.join(_MODULES)}", path)
    return _MODULES[path.suffix]


def _load(name: str, args: argparse.Namespace) -> Any:
    """Import what reads or writes one kind of file, once its framework is known to be there."""
    from clip2om.export.frameworks import FRAMEWORKS, import_libraries

    if name in _LIBRARIES:
        framework, library = _LIBRARIES[name]
        todo = f"make checkpoint FROM={args.source} TO={args.target} MODEL={args.model} builds and uses what it takes"
        import_libraries(FRAMEWORKS[framework], [library], todo)
    return importlib.import_module(name)


def _check_network(state: State, path: Path, card: Card, console: Console) -> None:
    """Refuse weights of another network than the card's; say where depth or classes are other ones."""
    from clip2om.export.mindspore.recognition import NETWORKS, describe, options_of
    from clip2om.pipeline.errors import RequestError

    if card.model.network not in NETWORKS:
        raise RequestError(
            f"is a card of network {card.model.network}, names are known of {' and '.join(NETWORKS)}", card.path
        )
    found = describe({name: value.shape for name, value in state.items()})
    if found is None or found.network != card.model.network:
        seems = found or "neither of the networks whose names are known"
        raise RequestError(f"holds {seems}, card {card.name} is of {card.model.network}", path, "check --model")
    changes = found.changes(options_of(card))
    if changes:
        console.warn(f"{path} holds {found}: give the stages {' '.join(f'--set {change}' for change in changes)}")


def _report(target: Path, written: int, left: List[str], console: Console) -> None:
    console.result(f"{target}: {written} entries")
    if left:
        kinds = Counter(_kind(name) for name in left)
        words = [name if count == 1 else f"{count} x {name}" for name, count in kinds.items()]
        console.result(f"left behind, because the other framework keeps no such thing: {', '.join(words)}")


def _kind(name: str) -> str:
    """Return what an entry is: ``bn1.num_batches_tracked`` is a count, ``moments.bn1.gamma`` a moment."""
    last = name.rpartition(".")[2]
    return last if last == "num_batches_tracked" else name.partition(".")[0]


if __name__ == "__main__":
    sys.exit(main())
