"""Commands of a checkout: tests, benchmarks, the docs that are made, the checks of style and types."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Sequence

from clip2om.commands import Command
from clip2om.environments import Environments
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.places import ROOT
from clip2om.process import environ_of, run_process
from clip2om.values import Values

_BROWSER = ("chromium", "chromium-driver")
_VIDEO = ("ffmpeg",)


def perform(command: Command, values: Values) -> int:
    """Carry out a command of a checkout; return its exit code.

    Raises:
        RequestError: this is an installation, which has no tests.
    """
    if not (ROOT / "tests").is_dir():
        raise RequestError(f"{command.name} is for a checkout of the project", None, "clone it")
    name = command.name
    if name == "test":
        return _all_tests(values)
    if name == "test-quick":
        return _python(values, "torch-all", ["-m", "tests.suites", "--quick"])
    if name == "test-pytorch":
        return _test_pytorch(values)
    if name.startswith("test-"):
        framework = name[len("test-") :]
        report = ["--junitxml", f"build/tests/{framework}.xml"]
        return _pytest(values, f"{framework}-test", [*report, f"tests/export/{framework}"])
    if name == "clean":
        shutil.rmtree("build", ignore_errors=True)
        return 0
    if name == "browser":
        return install(_BROWSER, "chromedriver", "the tests of the pages")
    if name == "torture":
        return _python(values, "torch-all", ["-m", "tests.hostile"])
    return {"bench": _bench, "docs": _docs, "lint": _lint}[name](values)


def _environments(values: Values) -> Environments:
    return Environments.of(values.one("PYTHON"), values.one("VENV"), values.one("VENV_PYTHON"))


def _python(values: Values, name: str, words: Sequence[str]) -> int:
    environments = _environments(values)
    environments.check([name])
    environments.prepare(name, Console("clip2om", "QUIET" in values))
    return run_process([_absolute(environments.interpreter(name)), *words], environ_of(environments), ROOT)


def _absolute(python: str) -> str:
    return os.path.abspath(python) if os.sep in python else python


def _pytest(values: Values, name: str, words: Sequence[str]) -> int:
    return _python(values, name, ["-m", "pytest", *words, *values.several("TESTS")])


def _all_tests(values: Values) -> int:
    make = ["make", *(f"{name}={values.one(name)}" for name in ("PYTHON", "VENV", "VENV_PYTHON") if name in values)]
    words = ["-m", "tests.suites", "--make", " ".join(make), *values.several("SUITES")]
    return run_process([sys.executable, *words], environ_of(_environments(values)), ROOT)


def _test_pytorch(values: Values) -> int:
    if os.environ.get("CI"):
        install(_BROWSER, "chromedriver", "the tests of the pages")
        install(_VIDEO, "ffmpeg", "the comparison of odd videos with the ffmpeg tool")
    jobs = ["-n", values.one("JOBS", "auto"), "--maxprocesses", "8", "--dist", "loadfile", "--no-loadscope-reorder"]
    return _pytest(values, "torch-all", [*jobs, "--junitxml", "build/tests/pytorch.xml"])


def install(packages: Sequence[str], program: str, what: str) -> int:
    """Install system packages for tests where that is possible, and say what is left out where it is not."""
    console = Console("clip2om")
    if shutil.which(program):
        console.say(f"{program} is there")
        return 0
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        console.say(f"install {' and '.join(packages)} with the system's packages; until then {what} are left out")
        return 0
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    console.say(f"installing {' and '.join(packages)} for {what}")
    for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", *words], env=environ, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            console.warn(f"apt-get {words[0]} ended with {done.returncode}; {what} are left out")
            return 0
    return 0


def _bench(values: Values) -> int:
    words = ["-m", "benchmarks", *(["--quick"] if "QUICK" in values else [])]
    for name in values.several("ONLY"):
        words += ["--only", name]
    words += ["--rounds", values.one("ROUNDS")] if "ROUNDS" in values else []
    return _python(values, "torch-all", words)


def _docs(values: Values) -> int:
    from clip2om import texts
    from clip2om.pipeline.artifact import write_if_changed

    page = ROOT / "docs" / "commands.md"
    written = write_if_changed(page, texts.page().encode("utf-8"))
    Console("clip2om").say(f"{page}: {'written' if written else 'up to date'}")
    _python(values, "core", ["-m", "scripts.house", "--quiet", "--drawing", "docs/architecture.md"])
    return _python(values, "core", ["-m", "scripts.model_docs"])


def _lint(values: Values) -> int:
    for words in (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["tests.typed"]):
        code = _python(values, "torch-all", ["-m", *words])
        if code:
            return code
    return 0
