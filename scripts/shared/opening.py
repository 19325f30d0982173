"""An engine for a compiled model, opened: the first one that is really there."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Iterator

from clip2om.pipeline.console import Console

if TYPE_CHECKING:
    from clip2om.infer.engines.base import Engine, Options
    from clip2om.pipeline.records import CompiledRecord


@contextlib.contextmanager
def open_engine(
    name: str, folder: Path, record: CompiledRecord, options: Options, console: Console
) -> Iterator[Engine]:
    """Open the first engine that runs the model here; one that is installed but cannot be imported is passed over.

    Raises:
        RequestError: none does, or the one that is there cannot load the model.
    """
    from clip2om.infer.engines.base import EngineMissingError
    from clip2om.infer.engines.select import choose

    choices = choose(name, record, folder)
    with contextlib.ExitStack() as stack:
        for choice in choices:
            try:
                engine = stack.enter_context(choice.engine(folder, record, options))
            except EngineMissingError as error:
                if choice is choices[-1]:
                    raise
                console.warn(error.what)
                continue
            console.say(f"{record.file} on {engine.name} {engine.version()}, {engine.precision} ({choice.reason})")
            yield engine
            return
