"""Starting a command of this project as a process of its own, in this or in another environment's Python."""

from __future__ import annotations

import os
from typing import Dict, List

from clip2om.pipeline.places import CHECKOUT, ROOT


def module_command(python: str, module: str) -> List[str]:
    """Return the words that start ``clip2om.module`` with an interpreter, from any folder."""
    return [python, "-m", f"clip2om.{module}"]


def environment() -> Dict[str, str]:
    """Return the environment for :func:`module_command`.

    A checkout is given to whatever interpreter is started; an installation belongs to its own, and every other one
    must have one too.
    """
    paths = [str(ROOT)] if CHECKOUT else []
    paths += [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    return {**os.environ, **({"PYTHONPATH": os.pathsep.join(paths)} if paths else {})}
