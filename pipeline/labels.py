"""Class names in class order, one per line: one rule for cards, lists and options."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import List, Sequence

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.texts import PathLike, read_lines

_TODO = "name a file with one class name per line"


def read_labels(path: PathLike) -> List[str]:
    """Return the lines of a file that are not blank, in any encoding that editors write.

    Raises:
        RequestError: no such file, or no text.
    """
    lines = (line.strip() for line in read_lines(path, _TODO))
    return [line for line in lines if line]


def check_distinct(labels: Sequence[str], what: str, where: object) -> None:
    """Refuse the same class twice: of two lines of one name, one would never be counted.

    Raises:
        RequestError: naming the class.
    """
    twice = [label for label, count in Counter(labels).items() if count > 1]
    if twice:
        raise RequestError(f"{what} has {twice[0]!r} twice", where, "every class has a name of its own")


def find_labels(name: str, card: object, own: Path) -> Path:
    """Return the file that a card calls ``name``: one of the project's, or a path with or without its ending.

    A relative path is looked for beside the card, then in the current folder.

    Args:
        name: As the card has it.
        card: The card's file.
        own: The folder of the project's files.

    Raises:
        RequestError: there is none.
    """
    here = Path(str(card)).parent
    names = (name, f"{name}.txt")
    tried = [folder / one for folder in (own, here, Path.cwd()) for one in names]
    found = next((path for path in tried if path.is_file()), None)
    if found is None:
        raise RequestError(
            f"dataset.labels names {Path(name).stem}.txt, which is not in {own}", card, "or give the path of a file"
        )
    return found
