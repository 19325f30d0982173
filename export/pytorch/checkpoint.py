"""PyTorch checkpoints into networks, without running anything that the file may hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from clip2om.export.entries import read_options
from clip2om.export.pytorch import foreign
from clip2om.export.pytorch.families import network_of, options_of
from clip2om.export.pytorch.networks import FAMILIES
from clip2om.export.pytorch.recognition import asked, contradicts, describe, differences
from clip2om.export.pytorch.renaming import RENAMINGS
from clip2om.export.weights import find, safetensors, torch_file
from clip2om.export.weights.find import Candidate, CollisionError
from clip2om.export.weights.inert import StandIn
from clip2om.export.weights.locate import about
from clip2om.export.weights.stored import DamagedError, Stored
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError

Say = Callable[[str], None]


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a file by name, floating-point ones as float32, and the ``arch`` it was saved with, if any."""

    state: Dict[str, Tensor]
    arch: Optional[str]


def load_weights(
    network: nn.Module, path: Path, card: Card, average: Optional[bool] = None, say: Optional[Say] = None
) -> nn.Module:
    """Load a checkpoint into the card's network and return it.

    Args:
        network: The card's network.
        path: The file.
        card: For the message.
        average: The averages over training steps are wanted, or are not; see :func:`export.weights.find.choose`.
        say: Gets a line for each thing that was not as plain as it could be.

    Raises:
        RequestError: the file is no checkpoint, runs something, holds two sets of weights that fit, or none.
    """
    content = read_file(path)
    expected = network.state_dict()
    candidates = _look(content, _shapes(expected), path)
    fitting = [candidate for candidate in candidates if candidate.fits]
    arch = _arch(content)
    if not fitting or contradicts(arch, card) or _contradicted(fitting[0], card):
        raise _misfit(content, candidates, expected, card, path)
    try:
        chosen, lines = find.choose(fitting, average)
    except CollisionError as error:
        raise RequestError(str(error), path, "keep the entries that are meant, and save them alone") from None
    for line in [*about(chosen), *lines] if say else []:
        say(line)  # type: ignore[misc]
    # The network's own entries stand in for the counts of batches, which inference does not read.
    network.load_state_dict({**expected, **_values(chosen, _shapes(expected), path)})
    return network


def _shapes(expected: Dict[str, Tensor]) -> Dict[str, Tuple[int, ...]]:
    """Return the shapes of a network's weights; tables of integers are computed by it and keep their values."""
    counts = {name for name in expected if find.is_count(name)}
    return {name: tuple(value.shape) for name, value in expected.items() if value.is_floating_point() or name in counts}


def read_checkpoint(path: Path) -> Checkpoint:
    """Read the weights of a file whatever network they belong to, under names without wrappers.

    Raises:
        RequestError: no such file, not a checkpoint, damaged, or holding no weights.
    """
    content = read_file(path)
    candidates = _look(content, {}, path)
    if not candidates:
        raise _no_state(content, path)
    known = [candidate for candidate in candidates if network_of(outline(candidate)) is not None]
    chosen = (known or [candidate for candidate in candidates if not candidate.prefix])[0]
    names = dict.fromkeys(chosen.state, None)
    return Checkpoint(_values(chosen, names, path, counts=True), _arch(content))


def find_network(path: Path) -> Tuple[str, Dict[str, Tensor], Dict[str, Any], List[str]]:
    """Return what a file of weights tells without a card.

    Returns:
        The network, its tensors without values, its classes and the arguments that they show, and what was done for it.

    Raises:
        RequestError: no checkpoint, or of none of the networks here.
    """
    content = read_file(path)
    for candidate in _look(content, {}, path):
        state = outline(candidate)
        network = network_of(state)
        if network is not None:
            options = {**options_of(state, network), **implied_by(candidate)}
            return network, state, options, about(candidate)
    words = f"none of the networks {', '.join(FAMILIES)}"
    raise RequestError(f"seems to be {words}", path, "write the card by hand: docs/models.md says how")


def read_file(path: Path) -> Any:
    """Return what a file holds, as :mod:`export.weights` reads it: of torch.save, or safetensors.

    Raises:
        RequestError: another kind of file, a damaged one, or one that runs something.
    """
    if safetensors.is_safetensors(path):
        return safetensors.read(path)
    try:
        return torch_file.read(path)
    except RequestError:
        framework = foreign.framework_of(path)
        if framework is not None:
            raise foreign.refuse(path, framework) from None
        raise


def outline(candidate: Candidate) -> Dict[str, Tensor]:
    """Return a candidate's tensors without values: names, shapes and whether they are floating-point numbers."""
    return {name: _outline(value) for name, value in candidate.state.items()}


def _outline(value: Stored) -> Tensor:
    kind = torch.float32 if value.floating else getattr(torch, value.dtype, torch.uint8)
    return torch.empty(value.shape, dtype=kind, device="meta")


def _look(content: Any, expected: Dict[str, Any], path: Path) -> List[Candidate]:
    try:
        return find.look(content, expected, RENAMINGS)
    except CollisionError as error:
        raise RequestError(str(error), path, "keep the entries that are meant, and save them alone") from None
    except DamagedError as error:
        raise RequestError(f"is damaged ({error})", path, "copy it again") from None


def _values(chosen: Candidate, names: Any, path: Path, counts: bool = False) -> Dict[str, Tensor]:
    """Return the values of a candidate under the network's names.

    Raises:
        RequestError: there are none to read, or they are not finite.
    """
    values = {}
    for name in names:
        if name not in chosen.state or (find.is_count(name) and not counts):
            continue
        stored = chosen.state[name]
        if stored.problem:
            raise RequestError(f"{chosen.origins[name]} {stored.problem}", path, stored.remedy)
        try:
            value = torch.from_numpy(stored.array())
        except MemoryError:
            raise
        except Exception as error:  # storages of an archive are read only now, by zipfile and zlib
            raise RequestError(f"{name} cannot be read ({error})", path, "copy the file again") from None
        if not torch.isfinite(value).all():
            raise RequestError(f"{name} holds NaN or infinite values", path, "take an earlier checkpoint")
        values[name] = value
    return values


def _misfit(
    content: Any, candidates: Sequence[Candidate], expected: Dict[str, Tensor], card: Card, path: Path
) -> RequestError:
    """Return the error for a file that does not fit: the nearest candidate, or one of a network that is known."""
    framework = foreign.framework_of(path)
    if framework is not None:
        return foreign.refuse(path, framework)
    if not candidates:
        return _no_state(content, path)
    known = [candidate for candidate in candidates if network_of(outline(candidate)) is not None]
    matching = [candidate for candidate in candidates if len(candidate.missing) < len(expected) / 2]
    plain = [candidate for candidate in candidates if not candidate.prefix]
    nearest = (matching or known or plain or list(candidates))[0]
    problem = next((name for name in nearest.state if name in expected and nearest.state[name].problem), None)
    if problem is not None:
        stored = nearest.state[problem]
        return RequestError(f"{nearest.origins[problem]} {stored.problem}", path, stored.remedy)
    state = outline(nearest)
    problems = differences(expected, state)
    arch = _arch(content)
    if contradicts(arch, card):
        problems.insert(0, f"arch is {arch!r}")
    if nearest.prefix or nearest.path not in ((), ("state_dict",)):
        problems.insert(0, nearest.where())
    told = _contradicted(nearest, card)
    problems += [f"its names are another library's, whose network has {key} {value}" for key, value in told.items()]
    seems, todo = describe(state, card, expected, implied_by(nearest) if not contradicts(arch, card) else {})
    return RequestError(f"does not fit {asked(card)}; {'; '.join(problems)}; it seems to be {seems}", path, todo)


def implied_by(candidate: Candidate) -> Dict[str, Any]:
    """Return arguments that leave no trace in shapes and that the names of a library tell."""
    facebook = [
        name for name in candidate.origins.values() if re.search(r"(pathway0_stem|^blocks\.0\.|\.blocks\.0\.)", name)
    ]
    if facebook and "backbone.conv1.conv.weight" in candidate.state:
        is_i3d = candidate.state["backbone.conv1.conv.weight"].shape[2:3] == (5,)
        return {"conv1_stride_t": 1, "pool1_stride_t": 1, "with_pool2": True} if is_i3d else {}
    if facebook and "backbone.slow_path.conv1.conv.weight" in candidate.state:
        return {"head_order": "slow-fast", "cut": "linspace"}
    names = [name for name in candidate.origins.values() if name.endswith("stem.0.weight")]
    is_resnet = "bn1.weight" in candidate.state and "conv2.weight" not in candidate.state
    flat = candidate.state.get("layer2.0.conv1.weight")
    if not names or not is_resnet or flat is None or flat.shape[2:3] == (1,):
        return {}
    return {"no_max_pool": True, "conv1_t_stride": 1, "same_padding": False}


def _contradicted(candidate: Candidate, card: Card) -> Dict[str, Any]:
    family = FAMILIES.get(card.model.network)
    options = read_options(family.options, card.model, card.model.network) if family else None
    return {key: value for key, value in implied_by(candidate).items() if getattr(options, key, value) != value}


def _no_state(content: Any, path: Path) -> RequestError:
    return RequestError(f"holds no state dict but {_say(content)}", path, torch_file.RESAVE)


def _arch(content: Any) -> Optional[str]:
    arch = content.get("arch") if isinstance(content, dict) else None
    return arch if isinstance(arch, str) else None


def _say(content: Any) -> str:
    network = _whole_network(content)
    if network:
        return network
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    odd = [] if not isinstance(state, dict) else [item for item in state.items() if not isinstance(item[1], Stored)]
    if isinstance(state, dict) and 0 < len(odd) < len(state):
        name, value = odd[0]
        return f"a dict whose entry {name!r} is of type {type(value).__name__}"
    if isinstance(content, dict):
        return f"a dict with the keys {', '.join(map(repr, list(content)[:5]))}" if content else "an empty dict"
    return f"an object of type {type(content).__name__}"


def _whole_network(content: Any) -> str:
    """Return words for a network that was saved whole, with its class, instead of its weights; empty where none was."""
    items = {"": content, **content} if isinstance(content, dict) else {"": content}
    for key, value in items.items():
        state = value.state if isinstance(value, StandIn) else None
        if isinstance(state, dict) and "_modules" in state:
            where = f"the entry {key!r} is " if key else ""
            return f"{where}a whole network, refused: to load it is to run {type(value).path}, which is no weight"
    return ""
