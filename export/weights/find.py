"""Where in a file the weights of a network are: the one entry and the one prefix that give its names and shapes.

Files of weights come in containers (``state_dict``, ``model``, nested ones) and with prefixes of what was wrapped
around the network when it was saved. Neither is known beforehand: what fits is taken, and said.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from clip2om.export.weights.stored import DamagedError, Stored

State = Dict[str, Stored]
Shapes = Mapping[str, Tuple[int, ...]]
# From the names of a file to the network's; a name that is not in it keeps its own.
Renaming = Callable[[Sequence[str], Shapes], Dict[str, str]]
# Components that wrappers put into names wherever they stand, and that no network here has.
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_layers"}
_SEPARATORS = re.compile(r"[./]")
_AVERAGE = re.compile(r"(^|[._/])(ema|averaged?|averages|swa|shadow|ExponentialMovingAverage)(?=$|[._/])", re.I)
# mmengine saves the average as the weights and the weights as this.
_SWAPPED = "ema_state_dict"
# Slots of optimizers have the names and shapes of the weights.
_SLOTS = re.compile(r"(^|[._/])(moment\w*|accum\w*|adam\w*|exp_avg\w*|velocity\w*|optim\w*|rms\w*)(?=$|[._/])", re.I)
# What training alone needs, by a component of the name.
_TRAINING = re.compile(
    r"(^|[._/])(num_batches_tracked|n_averaged|total_ops|total_params|class_weights?|\w*loss\w*|criterions?\w*"
    r"|optim\w*|exp_avg\w*|ema\w*|\w*_ema|moment\w*|moving_average\w*|Momentum|Adam\w*|RMSProp\w*|accum\w*|steps?"
    r"|global_step|current_iter\w*|epoch\w*|iterations?|learning_rate|lr|beta[12]_power|\w*metrics?\w*|accuracy\w*"
    r"|train_acc\w*|val_acc\w*|confusion\w*|data_preprocessor|ExponentialMovingAverage|velocity\w*|scaler\w*"
    r"|grad_scale\w*|batch_num|scheduler\w*|teacher\w*)(?=$|[._/])"
)
_COUNTS = "num_batches_tracked"
_LAYER = re.compile(
    r"(^|[._/])(weights?|bias|biases|running_mean|running_var|kernel|gamma|beta|moving_mean|moving_variance|_mean"
    r"|_variance|\w+_weight|\w+_bias)$"
)
_CONTAINERS = ("", "state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights")
_DEEPEST, _MOST = 6, 10_000
_PREFIXES = 12


class CollisionError(Exception):
    """Two sets of weights fit, and nothing tells which is meant; the message names both."""


@dataclass
class Candidate:
    """One way to take a file's entries for a network's.

    Attributes:
        path: Keys that lead to the container.
        prefix: Taken off its names.
        state: What lies under it, with the network's names.
        origins: What each of those is called in the container.
        missing: Names that the network has beside.
        different: Names of another shape.
        extra: What looks like a layer, and the network does not have.
        left: What training alone needs, or what lies outside of the prefix.
        notes: What else was done.
    """

    path: Tuple[str, ...]
    prefix: str
    state: State
    origins: Dict[str, str]
    missing: List[str] = field(default_factory=list)
    different: List[str] = field(default_factory=list)
    extra: List[str] = field(default_factory=list)
    left: List[str] = field(default_factory=list)
    notes: List[str] = field(default_factory=list)

    @property
    def fits(self) -> bool:
        """True where names and shapes are exactly the network's."""
        return not (self.missing or self.different or self.extra)

    @property
    def misfit(self) -> int:
        """How much does not fit."""
        return 2 * len(self.missing) + len(self.different) + len(self.extra)

    @property
    def average(self) -> bool:
        """True for an average over training steps."""
        return bool(_AVERAGE.search("/".join((*self.path, self.prefix))) or self.prefix.startswith("ema_"))

    def where(self) -> str:
        """Return in words where it lies."""
        place = f"the entry {'.'.join(self.path)!r}" if self.path else "the file"
        return f"{place}, names after {self.prefix!r}" if self.prefix else place


def look(content: Any, expected: Shapes, renamings: Sequence[Renaming] = ()) -> List[Candidate]:
    """Return the ways to take what a file holds for a network with these names and shapes, the best first.

    Raises:
        CollisionError: two entries of one container are the same one of the network, with other values.
    """
    found: List[Candidate] = []
    # A dict of dicts is looked at as one last, where none of them is the network by itself.
    for joined, path, entries in _ordered(content):
        if joined and any(candidate.fits for candidate in found):
            break
        entries, notes = _unpruned(entries)
        cleaned, origins, unwrapped = _cleaned(entries)
        for prefix in _prefixes(list(cleaned), expected):
            if _SLOTS.search("/".join((*path, prefix))):
                continue
            for renaming in (_no_renaming, *renamings):
                candidate = _candidate(path, prefix, cleaned, origins, renaming, expected)
                candidate.notes[:0] = notes
                candidate.notes += [unwrapped] if unwrapped else []
                found.append(candidate)
        found += _flat_averages(found, path, entries, expected)
    found.sort(key=lambda candidate: (candidate.misfit, candidate.average, _rank(candidate)))
    return _distinct(found)


def choose(candidates: Sequence[Candidate], average: Optional[bool] = None) -> Tuple[Candidate, List[str]]:
    """Return the candidate that is meant, of those that fit, and what to say about the others.

    Args:
        candidates: All that fit, at least one.
        average: The average over training steps is wanted, or it is not; None takes what the file has as its weights.

    Raises:
        CollisionError: several are of the kind that is wanted, or none.
    """
    swapped = any(candidate.path[-1:] == (_SWAPPED,) for candidate in candidates)
    averages: List[Candidate] = []
    raw: List[Candidate] = []
    for candidate in candidates:
        mean = candidate.path[-1:] == ("state_dict",) if swapped else candidate.average
        (averages if mean else raw).append(candidate)
    average = swapped and bool(averages) if average is None else average
    wanted, others = (averages, raw) if average else (raw, averages)
    lines: List[str] = []
    if average and not wanted:
        raise CollisionError(f"holds no averages of weights, only {raw[0].where()}")
    if not wanted:
        wanted, others = others, []
        lines.append(f"holds averages of the weights alone ({wanted[0].where()}): they are taken")
    elif others:
        taken, other = ("averages", "raw") if average else ("raw weights", "average")
        lines.append(
            f"holds averages of the weights too: the {taken} ({wanted[0].where()}) are taken, "
            f"--weights {other} takes {others[0].where()}"
        )
    same = [candidate for candidate in wanted[1:] if candidate.path == wanted[0].path]
    if same:
        raise CollisionError(
            f"holds the network twice with different values, in {wanted[0].where()} and in {same[0].where()}"
        )
    if len(wanted) > 1 and _rank(wanted[0]) == _rank(wanted[1]):
        raise CollisionError(f"holds the network twice, in {wanted[0].where()} and in {wanted[1].where()}")
    if len(wanted) > 1:
        lines.append(f"also holds such weights in {wanted[1].where()}; those in {wanted[0].where()} are taken")
    return wanted[0], lines


def is_training(name: str) -> bool:
    """Tell whether an entry is of training alone, by its name."""
    return bool(_TRAINING.search(name)) or not _LAYER.search(name)


def is_count(name: str) -> bool:
    """Tell whether an entry counts batches, which inference never reads."""
    return name.rpartition(".")[2] == _COUNTS


def summary(names: Iterable[str]) -> str:
    """Return names of entries in a few words: those of one kind counted."""
    kinds = Counter(name.rpartition(".")[2] if is_count(name) else _SEPARATORS.split(name)[0] for name in names)
    words = [kind if count == 1 else f"{count} x {kind}" for kind, count in kinds.most_common()]
    return ", ".join(words[:6]) + (f" and {len(words) - 6} more" if len(words) > 6 else "")


def sequential_head(names: Sequence[str], expected: Shapes) -> Dict[str, str]:
    """Rename a layer that stands alone in a Sequential, such as ``fc.1.weight`` after a dropout in ``fc.0``."""
    have, renamed = set(names), {}
    for name in expected:
        layer, _, last = name.rpartition(".")
        if name in have or not layer:
            continue
        pattern = re.compile(re.escape(layer) + r"\.\d+\." + re.escape(last))
        inner = [other for other in names if pattern.fullmatch(other)]
        if len(inner) == 1:
            renamed[inner[0]] = name
    return renamed


def _no_renaming(names: Sequence[str], expected: Shapes) -> Dict[str, str]:
    return {}


def _ordered(content: Any) -> List[Tuple[bool, Tuple[str, ...], State]]:
    return sorted(_containers(content, (), [0]), key=lambda found: found[0])


def _containers(content: Any, path: Tuple[str, ...], spent: List[int]) -> Iterator[Tuple[bool, Tuple[str, ...], State]]:
    """Yield every dict of tensors; a dict of such dicts also as one, with dotted names."""
    if len(path) > _DEEPEST:
        return
    # A container that is in many places is one object of a pickle, of any number of names here.
    spent[0] += 1
    if spent[0] > _MOST:
        raise DamagedError(f"containers of containers, more than {_MOST}")
    items = list(content.items()) if isinstance(content, dict) else []
    if isinstance(content, (list, tuple)):
        items = [(str(number), value) for number, value in enumerate(content[:64])]
    direct = {name: value for name, value in items if isinstance(name, str) and isinstance(value, Stored)}
    below = [(name, value) for name, value in items if isinstance(value, (dict, list, tuple))]
    if direct:
        yield False, path, direct
    inner = [pair for name, value in below for pair in _containers(value, (*path, str(name)), spent)]
    yield from inner
    parts = [(where[-1], part) for joined, where, part in inner if len(where) == len(path) + 1 and not joined]
    if len(parts) > 1:
        yield True, path, {**direct, **{f"{key}.{name}": value for key, part in parts for name, value in part.items()}}


def _cleaned(entries: State) -> Tuple[State, Dict[str, str], str]:
    """Return entries without the components of wrappers in their names, what each was called, and words about it.

    Raises:
        CollisionError: two entries get one name and have other values.
    """
    made: State = {}
    origins: Dict[str, str] = {}
    taken: Dict[str, None] = {}
    for name, value in entries.items():
        parts = name.split(".")
        taken.update(dict.fromkeys(part for part in parts if part in _WRAPPERS))
        clean = ".".join(part for part in parts if part not in _WRAPPERS) or name
        if clean in made and not _same(made[clean], value):
            raise CollisionError(f"holds both {origins[clean]!r} and {name!r}, with different values")
        if clean not in made:
            made[clean], origins[clean] = value, name
    return made, origins, f"names without {' and '.join(f'{part}.' for part in taken)}" if taken else ""


def _candidate(
    path: Tuple[str, ...],
    prefix: str,
    entries: State,
    origins: Dict[str, str],
    renaming: Renaming,
    expected: Shapes,
) -> Candidate:
    inside = {name[len(prefix) :]: name for name in entries if name.startswith(prefix) and name != prefix}
    renamed = renaming(list(inside), expected)
    names = {renamed.get(name, name): whole for name, whole in inside.items()}
    state = {name: entries[whole] for name, whole in names.items()}
    own = {name: origins[whole] for name, whole in names.items()}
    beside = [name for name in state if name not in expected]
    extra = [name for name in beside if not is_training(name)]
    outside = [origins[name] for name in entries if not name.startswith(prefix)]
    return Candidate(
        path,
        prefix,
        state,
        own,
        [name for name in expected if name not in state and not is_count(name)],
        [name for name, shape in expected.items() if name in state and _other(name, state[name], shape)],
        extra,
        [*(own[name] for name in beside if name not in extra), *outside],
    )


def _other(name: str, found: Stored, shape: Tuple[int, ...]) -> bool:
    """Tell whether an entry is no floating-point tensor of a shape; one without values is told by its problem."""
    return not is_count(name) and (found.shape != tuple(shape) or not (found.floating or found.problem))


def _flat_averages(
    found: Sequence[Candidate], path: Tuple[str, ...], entries: State, expected: Shapes
) -> List[Candidate]:
    """Return averages whose names are those of the weights run together: ``ema_backbone_conv1_weight`` (mmcv)."""
    made = []
    for candidate in found:
        if candidate.path != path or not candidate.fits or candidate.average:
            continue
        # mmcv joins the whole name; Lightning's averages may lack some of the prefix, and leave dots out.
        parts = candidate.prefix.split(".")
        cut = [("model_ema.", "", ".".join(parts[start:])) for start in range(len(parts))]
        for start, joint, prefix in (("ema_", "_", candidate.prefix), *cut):
            flat = {_joined(name, joint): name for name in entries}
            names = {name: _joined(f"{start}{prefix}{name}", joint) for name in expected}
            state = {name: entries[flat[key]] for name, key in names.items() if key in flat}
            missing = [name for name in expected if name not in state and not is_count(name)]
            if not missing and not any(_other(name, state[name], expected[name]) for name in state):
                made.append(Candidate(path, start, state, {name: flat[names[name]] for name in state}))
    return made


def _joined(name: str, joint: str) -> str:
    """Return a name whose dots, but for the one after ``model_ema``, are replaced."""
    head, _, rest = name.partition(".")
    if joint == "" and head == "model_ema":
        return f"{head}.{rest.replace('.', joint)}"
    return name.replace(".", joint) if joint else name


def _rank(candidate: Candidate) -> int:
    last = candidate.path[-1] if candidate.path else ""
    return _CONTAINERS.index(last) if last in _CONTAINERS else len(_CONTAINERS)


def _unpruned(entries: State) -> Tuple[State, List[str]]:
    """Return entries with the product of what torch.nn.utils.prune keeps apart."""
    pruned = [name[: -len("_mask")] for name in entries if name.endswith("_mask") and f"{name[:-5]}_orig" in entries]
    if not pruned:
        return entries, []
    gone = {f"{name}_{part}" for name in pruned for part in ("orig", "mask")}
    made = {name: value for name, value in entries.items() if name not in gone}
    for name in pruned:
        made[name] = _product(entries[f"{name}_orig"], entries[f"{name}_mask"])
    return made, [f"{len(pruned)} pruned weights are multiplied by their masks"]


def _product(value: Stored, mask: Stored) -> Stored:
    return Stored("float32", value.shape, lambda: value.array() * mask.array().astype(np.float32), value.problem)


def _prefixes(names: Sequence[str], expected: Shapes) -> List[str]:
    """Return the prefixes under which there are enough entries to be the network, or most of the container."""
    least = min(sum(not is_count(name) for name in expected) / 2, len(names) / 2)
    counts: Counter = Counter()
    for name in names:
        for match in _SEPARATORS.finditer(name):
            counts[name[: match.end()]] += 1
    often = [prefix for prefix, count in counts.most_common(_PREFIXES) if count >= max(least, 1)]
    return ["", *often]


def _same(one: Stored, other: Stored) -> bool:
    if one is other:
        return True
    if one.shape != other.shape or one.problem or other.problem:
        # Without values only their names tell.
        return False
    return bool(np.array_equal(one.array(), other.array()))


def _distinct(found: Sequence[Candidate]) -> List[Candidate]:
    """Return candidates less those that take the very same entries, or equal values, as an earlier one."""
    kept: List[Candidate] = []
    for candidate in found:
        if not any(_alike(candidate, other) for other in kept):
            kept.append(candidate)
    return kept


def _alike(one: Candidate, other: Candidate) -> bool:
    if one.fits != other.fits:
        return False
    if one.fits:
        return all(_same(one.state[name], other.state[name]) for name in one.state if name in other.state)
    return one.path == other.path and one.prefix == other.prefix and one.state.keys() == other.state.keys()
