"""``python -m tests.typed``: mypy over the project as an installation has it, every room below ``clip2om``.

mypy looks for modules in folders and knows nothing of the path that clip2om/__init__.py extends in a checkout, so it is
given a folder of links that has the shape of an installation.
"""

from __future__ import annotations

import subprocess
import sys

from tests.command import ROOT

_ROOMS = ("pipeline", "export", "preprocess", "convert", "infer", "postprocess", "scripts", "benchmarks")


def main() -> int:
    """Make the folder of links and run mypy in it; return its exit code."""
    top = ROOT / "build" / "typed"
    package = top / "clip2om"
    package.mkdir(parents=True, exist_ok=True)
    for link in package.iterdir():
        link.unlink()
    for path in [*(ROOT / room for room in _ROOMS), *(ROOT / "clip2om").iterdir()]:
        if path.name == "__pycache__":
            continue
        (package / path.name).symlink_to(path)
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "-p", "clip2om"]
    return subprocess.run(command, cwd=top, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
