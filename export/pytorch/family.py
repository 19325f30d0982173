"""What a module of :mod:`export.pytorch.networks` says of its networks, and what it reads state dicts with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, FrozenSet, Mapping, Tuple

from torch import Tensor, nn

State = Dict[str, Tensor]
Clip = Tuple[int, int, int, int]
PLAIN = frozenset({"Conv", "Relu", "Add", "Gemm"})


def _always(state: State) -> bool:
    return True


@dataclass(frozen=True)
class Family:
    """One kind of network: all that the exporter knows about it.

    Attributes:
        name: ``model.network``.
        options: Dataclass of what ``[model.arguments]`` may hold, typed and with defaults; its first field is
            ``classes``, which a card has in ``[model]``.
        make: Makes the network from its options and the extents of a clip.
        title: What a person calls it, with its article.
        operators: What its graph consists of, apart from its pooling.
        landmarks: Weights that tell it, with their rank: a 2-D network of the same names has 4 instead of 5.
        read: Options that a state dict of it shows, ``classes`` among them. There is no depth if it is no known one.
        is_one: Tells it from other networks with the same landmarks.
        arch: What published checkpoints call it in their entry ``arch``, before the depth; empty where they have none.
        pooled: It averages its features over time and space: ``export.pooling`` says how.
        untold: Options that leave no trace in names and shapes of weights.
    """

    name: str
    options: Any
    make: Callable[[Any, Clip], nn.Module]
    title: str
    operators: FrozenSet[str]
    landmarks: Mapping[str, int]
    read: Callable[[State], Dict[str, Any]]
    is_one: Callable[[State], bool] = _always
    arch: str = ""
    pooled: bool = True
    untold: Tuple[str, ...] = ()

    def claims(self, state: State) -> bool:
        """Tell whether a state dict is of this family."""
        marked = all(name in state and state[name].dim() == rank for name, rank in self.landmarks.items())
        return marked and self.is_one(state)


def depth_of(depths: Mapping[int, Tuple[int, ...]], state: State, prefix: str = "layer") -> Dict[str, int]:
    """Return the ``depth`` whose stages have as many blocks as a state dict; nothing where none has."""
    counts = tuple(parts(state, f"{prefix}{number}.") for number in (1, 2, 3, 4))
    return next(({"depth": depth} for depth, known in depths.items() if known == counts), {})


def parts(state: State, prefix: str) -> int:
    """Return how many different words follow a prefix in the names of a state dict."""
    return len({name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)})


def stem_width(found: int, width: int, factor: float) -> int:
    """Return the option of that name: 0 where the stem is as wide as the family's."""
    return 0 if found == int(width * factor) else found
