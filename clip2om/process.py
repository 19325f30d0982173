"""Running steps: one process each, in its environment, with its exit code and its signals."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Dict, Iterator, Mapping, Optional, Sequence, Tuple

from clip2om.commands import all_variables
from clip2om.environments import Environments, import_folder
from clip2om.pipeline.console import Console, duration
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.wording import DOOR
from clip2om.steps import Step

# Nobody looks at a screen in silence for longer without wondering.
_SIGN_S = 10.0
# Their work is in libraries that tell nothing of themselves.
_WITHOUT_PROGRESS = ("export", "export.checkpoint", "convert", "scripts.report", "scripts.compare", "scripts.drift")


def run_step(step: Step, environments: Environments, console: Console, make: bool) -> int:
    """Prepare the environment of a step and run it; return its exit code.

    Raises:
        RequestError: the environment cannot be made, or its interpreter cannot be started.
    """
    environments.prepare(step.environment, console)
    python = environments.interpreter(step.environment)
    environ = environ_of(environments)
    if make:
        environ[DOOR] = " ".join(f"{flag}={variable}" for flag, variable in _variables_of(step))
    signs = console if step.module in _WITHOUT_PROGRESS else None
    code = run_process([python, "-m", f"clip2om.{step.module}", *step.words], environ, console=signs)
    if code == 0 and step.uses_up is not None:
        step.uses_up.unlink(missing_ok=True)
    return code


def _variables_of(step: Step) -> Iterator[Tuple[str, str]]:
    """Yield how make calls each option of a step."""
    stage = step.module.rpartition(".")[2]
    yield "--set", "SET"
    yield "--model", "MODEL"
    for option in all_variables().values():
        if stage in option.flags:
            yield option.flags[stage], f"{option.variable}=1" if option.switch else option.variable
    yield from {"--soc": "SOC", "--batch": "BATCH", "--calibration-clips": "CALIBRATION"}.items()


def environ_of(environments: Environments) -> Dict[str, str]:
    """Return the environment of a step: this one's, and the project importable."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(("CLIP2OM_", "MAKE", "MFLAGS"))}
    here = str(import_folder(environments.folder))
    found["PYTHONPATH"] = os.pathsep.join(filter(None, [here, found.get("PYTHONPATH", "")]))
    return found


def run_process(
    command: Sequence[str],
    environ: Optional[Mapping[str, str]] = None,
    cwd: Optional[Path] = None,
    console: Optional[Console] = None,
) -> int:
    """Run a command with our streams; return its exit code, as a shell would where a signal ended it.

    With a console, a sign of life is given every ten seconds.

    Ctrl-C reaches the whole group of processes, and the child ends itself in one line: nothing is to be said here. A
    signal that only this process gets is handed on.

    Raises:
        RequestError: it cannot be started.
    """
    try:
        process = subprocess.Popen(list(command), env=environ, cwd=cwd)
    except OSError as error:
        todo = "check PYTHON= (--python), VENV= (--venv)"
        raise RequestError(f"cannot be started ({error.strerror})", command[0], todo) from None
    earlier = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            earlier[number] = signal.signal(number, lambda number, _frame: _hand_on(process, number))
    try:
        return _code(_wait(process, console))
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _hand_on(process: "subprocess.Popen[bytes]", number: int) -> None:
    if process.poll() is None:
        process.send_signal(number)


def _wait(process: "subprocess.Popen[bytes]", console: Optional[Console]) -> int:
    start = time.monotonic()
    while True:
        try:
            return process.wait(_SIGN_S if console else None)
        except subprocess.TimeoutExpired:
            if console:
                console.say(f"at work for {duration(time.monotonic() - start)}")
        except KeyboardInterrupt:
            # The child got it too, and may have something to finish.
            continue


def _code(code: int) -> int:
    return 128 - code if code < 0 else code
