"""What differs between two hosts, from their records: a summary.json of a run, or what the doctor wrote."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

from clip2om.pipeline.artifact import PathLike, load_json
from clip2om.pipeline.console import Console, size
from clip2om.pipeline.errors import RequestError

_TODO = "pass the summary.json of a run, or a file written by python -m scripts.doctor --json FILE"
_NONE = "-"
_WIDTH = 60


def host_block(path: PathLike) -> Dict[str, Any]:
    """Return the ``host`` block of a record.

    Raises:
        RequestError: no such file, not JSON, or no record with a host block.
    """
    payload = load_json(path, _TODO)
    block = payload.get("host") if isinstance(payload, dict) else None
    if not isinstance(block, dict) or not block:
        raise RequestError("holds no facts about a host", path, _TODO)
    return block


def compare(left: Mapping[str, Any], right: Mapping[str, Any]) -> Tuple[List[Tuple[str, str, str]], List[str], int]:
    """Compare two host blocks.

    Returns:
        Rows (fact, left, right) of what differs, facts that only one side recorded, and the number of equal facts.
        A missing fact below ``ascend`` differs, because that block lists what there is; elsewhere it was not asked for.
    """
    ours, theirs = _flat(left), _flat(right)
    both_ascend = "ascend" in left and "ascend" in right
    rows, once, equal = [], [], 0
    for name in dict.fromkeys([*ours, *theirs]):
        if name in ours and name in theirs:
            if ours[name] == theirs[name]:
                equal += 1
            else:
                rows.append((name, ours[name], theirs[name]))
        elif name.startswith("ascend.") and both_ascend:
            rows.append((name, ours.get(name, _NONE), theirs.get(name, _NONE)))
        else:
            once.append(name)
    return rows, once, equal


def show(console: Console, left: PathLike, right: str, mine: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Print the comparison as a table: ``left`` and ``right`` head the columns."""
    rows, once, equal = compare(mine, other)
    if rows:
        console.table(["differs", str(left), right], [[name, _cut(ours), _cut(theirs)] for name, ours, theirs in rows])
    console.result(f"{len(rows)} facts differ, {equal} are equal")
    if once:
        console.result(f"recorded on one side only: {', '.join(once)}")


def _flat(block: Mapping[str, Any], trail: str = "") -> Dict[str, str]:
    flat: Dict[str, str] = {}
    for key, value in block.items():
        name = f"{trail}{key}"
        if isinstance(value, dict):
            flat.update(_flat(value, f"{name}."))
        elif value not in (None, "", []):
            flat[name] = _text(name, value)
    return flat


def _text(name: str, value: Any) -> str:
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    if name.endswith("_bytes") and isinstance(value, int):
        return size(value)
    return str(value)


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."
