"""A network that a card names as code: imported and called, which is to run it, only where that was allowed."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Mapping

import torch
from torch import Tensor, nn

from clip2om.export.code import code_digest, file_of, is_file
from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError, last_line


def build(card: Card, allowed: bool) -> nn.Module:
    """Return the network that ``model.network`` names, called with ``[model.arguments]``, in training mode.

    Raises:
        RequestError: code is not allowed, its module is not there, or it gives no network.
    """
    name, _, attribute = card.model.network.rpartition(":")
    if not allowed:
        raise RequestError(
            f"model.network is {card.model.network!r}: to build it is to run that code",
            card.path,
            "look at it first, then say --allow-code (make: ALLOW_CODE=1)",
        )
    module = _file(card) if is_file(card) else _package(name, card)
    make = getattr(module, attribute, None)
    if not callable(make):
        known = [entry for entry, value in vars(module).items() if callable(value) and not entry.startswith("_")]
        raise RequestError(
            f"{name} has no function {attribute!r}", card.path, f"it has: {', '.join(known[:8]) or 'none'}"
        )
    try:
        network = make(**card.model.arguments)
    except Exception as error:  # code of the user's can raise anything
        raise RequestError(
            f"{card.model.network} raises {type(error).__name__} ({last_line(error)})",
            card.path,
            "check [model.arguments]",
        ) from error
    if not isinstance(network, nn.Module):
        raise RequestError(
            f"{card.model.network} gives {type(network).__name__}, expected a torch.nn.Module", card.path
        )
    network.register_forward_hook(lambda module, given, found: chosen(found, card))
    _try(network, card)
    return network


def chosen(found: Any, card: Card) -> Tensor:
    """Return the tensor of scores in what a network gives: it itself, or what ``model.output`` names.

    Raises:
        RequestError: it is no tensor, and nothing is named, or no such thing.
    """
    name, value = card.model.output, found
    if name:
        try:
            if isinstance(found, Mapping):
                value = found[name]
            else:
                value = found[int(name)] if re.fullmatch(r"-?\d+", name) else getattr(found, name)
        except (KeyError, IndexError, AttributeError, TypeError):
            raise RequestError(
                f"{card.model.network} gives no {name!r} but {_say(found)}", card.path, "model.output"
            ) from None
    if not isinstance(value, Tensor):
        raise RequestError(
            f"{card.model.network} gives {_say(value)}, no tensor", card.path, "name the scores in it: model.output"
        )
    return value


def imported(card: Card) -> Dict[str, str]:
    """Return what was imported for a card, with its version or path, and the SHA-256 of its source."""
    name = card.model.network.rpartition(":")[0]
    if is_file(card):
        return {name: f"sha256 {code_digest(card)}"}
    source = inspect.getsourcefile(sys.modules[name])
    return {name: f"{code_digest(card)}, sha256 {sha256_file(source)}" if source else code_digest(card)}


def _file(card: Card) -> ModuleType:
    path = file_of(card)
    if not path.is_file():
        raise RequestError("no such file", path, "model.network takes a path from the card's folder")
    spec = importlib.util.spec_from_file_location(f"clip2om_code_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise RequestError("is no Python file", path)
    module = importlib.util.module_from_spec(spec)
    # Classes and data classes look their module up by name.
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise _missing(str(error.name), path) from None
    except Exception as error:  # code of the user's can raise anything
        raise RequestError(f"raises {type(error).__name__} when it is imported ({last_line(error)})", path) from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _package(name: str, card: Card) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise _missing(str(error.name or name), Path(card.path)) from None
    except Exception as error:  # a library that does not fit this PyTorch raises what it likes
        raise RequestError(
            f"{name} cannot be imported ({last_line(error)})", card.path, _install(name.partition(".")[0])
        ) from error


def _missing(name: str, where: Path) -> RequestError:
    return RequestError(f"not installed: {name}", where, _install(name.partition(".")[0]))


def _install(package: str) -> str:
    """Return the command that installs a package; torchvision's builds each fit one PyTorch."""
    python = f"{sys.executable} -m pip install"
    version = re.match(r"2\.(\d+)\.(\d+)", torch.__version__)
    if package == "torchvision" and version:
        return (
            f"{python} torchvision==0.{int(version[1]) + 15}.{version[2]}, from the index that torch "
            f"{torch.__version__} came from (--index-url)"
        )
    return f"{python} {package}"


def _try(network: nn.Module, card: Card) -> None:
    """Run a network once on zeros and compare what it gives with ``model.classes``."""
    network.eval()
    shape = card.input.shape[-4:]
    try:
        with torch.inference_mode():
            found = network(torch.zeros(1, *shape))
    except RequestError:
        raise
    except Exception as error:  # code of the user's can raise anything
        raise RequestError(
            f"{card.model.network} does not take {'x'.join(map(str, (1, *shape)))} ({last_line(error)})",
            card.path,
            "check input.layout, input.shape and [model.arguments]",
        ) from error
    if tuple(found.shape) != (1, card.model.classes):
        raise RequestError(
            f"{card.model.network} gives {'x'.join(map(str, found.shape))} for one clip, model.classes is "
            f"{card.model.classes}",
            card.path,
            "set model.classes, or in [model.arguments] what the function calls them",
        )
    network.train()


def _say(found: Any) -> str:
    if isinstance(found, Mapping):
        return f"a {type(found).__name__} with {', '.join(map(str, found))}"
    if isinstance(found, (list, tuple)):
        return f"a {type(found).__name__} of {len(found)}"
    return f"a {type(found).__name__}"
