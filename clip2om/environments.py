"""The environments in which stages run: one per framework, because the four do not share one; made once, on demand.

Each is a virtual environment below .venv/ of a checkout (an installation keeps them in the user's cache), with marks
that hold the digest of the requirements that are installed. The project itself is made importable there by one line
in a .pth file, so that ``python -m export`` works in it from any folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import queue
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Sequence, Tuple

from clip2om.pipeline.console import Console, duration, size
from clip2om.pipeline.disk import free
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.places import CHECKOUT, ROOT

_SAY_S = 8.0
_TAIL = 12


@dataclass(frozen=True)
class Environment:
    """What one set of requirements is.

    Attributes:
        base: Folder of the virtual environment that they are installed in.
        files: Of requirements/, without suffix.
        optional: Those for which a host may have no wheel, with what is said then.
        words: What it is for.
        megabytes: About how much it takes on the disk, with CPU builds.
        python: Oldest Python whose packages these are.
        before: Set of requirements that this one stands on.
    """

    base: str
    files: Tuple[str, ...]
    words: str
    megabytes: int
    python: Tuple[int, int] = (3, 9)
    optional: Tuple[Tuple[str, str], ...] = ()
    before: str = ""


_FRAMEWORK = (3, 10)
ENVIRONMENTS: Dict[str, Environment] = {
    "core": Environment(
        "core",
        ("core",),
        "decoding, inference on the CPU",
        640,
        optional=(("openvino", "OpenVINO has no wheel for this system: ONNX Runtime takes its place"),),
    ),
    "report": Environment("core", ("report",), "pages", 170, before="core"),
    "drift": Environment("core", ("drift",), "comparing layers", 110, before="core"),
    "plot": Environment(
        "core", (), "the plot of a sweep", 90, optional=(("plot", "there will be no plot"),), before="core"
    ),
    "quantize": Environment("core", ("quantize",), "int8", 330, before="core"),
    "torch": Environment("torch", ("torch",), "PyTorch, to export (with CUDA: 5.6 GB)", 1700, _FRAMEWORK),
    "tensorflow": Environment("tensorflow", ("tensorflow",), "TensorFlow, to export", 1900, _FRAMEWORK),
    "paddle": Environment("paddle", ("paddle",), "PaddlePaddle, to export", 1100, _FRAMEWORK),
    "mindspore": Environment("mindspore", ("mindspore",), "MindSpore, to export and to run MINDIR", 1500, _FRAMEWORK),
    **{
        f"{name}-test": Environment(
            name, ("core", "openvino", "dev"), f"the tests with {words}", 700, _FRAMEWORK, before=name
        )
        for name, words in (
            ("torch", "PyTorch"),
            ("tensorflow", "TensorFlow"),
            ("paddle", "PaddlePaddle"),
            ("mindspore", "MindSpore"),
        )
    },
    "torch-all": Environment(
        "torch",
        ("plot", "quantize", "report", "drift", "browser"),
        "the tests of every command",
        700,
        _FRAMEWORK,
        before="torch-test",
    ),
}
# How the environment of an exporting framework is called.
OF_FRAMEWORK = {
    "pytorch": "torch",
    "tensorflow": "tensorflow",
    "paddle": "paddle",
    "mindspore": "mindspore",
    "onnx": "drift",
}


@dataclass(frozen=True)
class Environments:
    """Finds the interpreter of a set of requirements, and makes what is missing.

    Attributes:
        python: An interpreter that takes the place of all of them; empty for none.
        folder: Where the environments lie.
        maker: Interpreter that makes them.
    """

    python: str
    folder: Path
    maker: str

    @classmethod
    def of(cls, python: str = "", folder: str = "", maker: str = "") -> Environments:
        """Return those of a call's PYTHON, VENV and VENV_PYTHON."""
        return cls(python, Path(folder) if folder else default_folder(), maker or sys.executable)

    def interpreter(self, name: str) -> str:
        """Return the interpreter in which the requirements ``name`` are, or will be once :meth:`prepare` has run."""
        if self.python:
            return self.python
        if not CHECKOUT and _installed_here(name):
            return sys.executable
        return str(self.folder / ENVIRONMENTS[name].base / "bin" / "python")

    def missing(self, name: str) -> List[str]:
        """Return the sets of requirements that have to be installed for ``name``, in order."""
        about = ENVIRONMENTS[name]
        if self.python or (not CHECKOUT and _installed_here(name)):
            return []
        return [*(self.missing(about.before) if about.before else []), *([] if self._ready(name) else [name])]

    def prepare(self, name: str, console: Console) -> None:
        """Install what is missing for ``name``.

        Raises:
            RequestError: the Python is too old, the disk too full, or venv or pip failed; with pip's own last lines.
        """
        for step in self.missing(name):
            with self._locked(ENVIRONMENTS[step].base):
                if not self._ready(step):
                    self._make(step, console)

    def check(self, names: Sequence[str]) -> None:
        """Refuse environments that cannot be made here, before anything starts.

        Raises:
            RequestError: the Python is too old for one, or there is not enough space.
        """
        steps = list(dict.fromkeys(step for name in names for step in self.missing(name)))
        if not steps:
            return
        version = _version_of(self.maker)
        for step in steps:
            least = ENVIRONMENTS[step].python
            if version < least:
                raise RequestError(
                    f"{ENVIRONMENTS[step].words} needs Python {least[0]}.{least[1]} or newer, "
                    f"{self.maker} is {version[0]}.{version[1]}",
                    None,
                    "name a newer one: VENV_PYTHON=python3.11 (--venv-python)",
                )
        needed = sum(ENVIRONMENTS[step].megabytes for step in steps) * 1_000_000
        room = free(self.folder)
        if room < needed:
            raise RequestError(
                f"environments of about {size(needed)} are to be made, {size(room)} are free",
                self.folder,
                "free some space, choose another VENV= (--venv), or name an interpreter that has all: PYTHON=",
            )

    def _mark(self, name: str) -> Path:
        about = ENVIRONMENTS[name]
        return self.folder / about.base / (".ready" if name == about.base else f".ready-{name}")

    def _ready(self, name: str) -> bool:
        try:
            return self._mark(name).read_text(encoding="utf-8") == _digest(ENVIRONMENTS[name])
        except OSError:
            return False

    @contextlib.contextmanager
    def _locked(self, base: str) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / f".lock-{base}", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make(self, name: str, console: Console) -> None:
        about = ENVIRONMENTS[name]
        folder = self.folder / about.base
        console.say(
            f"environment {name} ({about.words}): about {size(about.megabytes * 1_000_000)} in {folder}, this once"
        )
        start = time.perf_counter()
        python = folder / "bin" / "python"
        if not python.exists():
            _followed([self.maker, "-m", "venv", str(folder)], "making it", console, _NO_VENV)
            _make_importable(folder)
        pip = [
            str(python),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-color",
            "--progress-bar",
            "off",
            "--constraint",
            str(_requirements("constraints")),
        ]
        files = [word for file in about.files for word in ("-r", str(_requirements(file)))]
        if files:
            _followed([*pip, *files], "pip", console, _NO_PIP)
        for file, words in about.optional:
            try:
                wheel = [*pip, "--only-binary", ":all:", "-r", str(_requirements(file))]
                _followed(wheel, "pip", console, _NO_PIP)
            except RequestError:
                console.warn(words)
        self._mark(name).write_text(_digest(about), encoding="utf-8")
        console.say(f"environment {name}: made in {duration(time.perf_counter() - start)}")


_NO_VENV = "install the system's package of venv (python3-venv), or name another VENV_PYTHON= (--venv-python)"
_NO_PIP = "check the network and pip's index, or name an interpreter that has all: PYTHON= (--python)"


def default_folder() -> Path:
    """Return .venv of the current folder in a checkout; an installation has its own in the user's cache."""
    if CHECKOUT:
        return Path(".venv")
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(cache) / "clip2om" / "environments"


def _requirements(name: str) -> Path:
    return ROOT / "requirements" / f"{name}.txt"


def _digest(about: Environment) -> str:
    names = [*about.files, *(file for file, _ in about.optional)]
    text = b"".join(_requirements(name).read_bytes() for name in names)
    included = re.findall(rb"^-r (\S+)\.txt", text, re.MULTILINE)
    return hashlib.sha256(text + b"".join(_requirements(name.decode()).read_bytes() for name in included)).hexdigest()


_PROOF = {
    "core": ("numpy", "PIL", "av"),
    "report": ("altair", "jinja2", "vl_convert"),
    "drift": ("onnx",),
    "plot": ("matplotlib",),
    "quantize": ("nncf",),
    "torch": ("torch", "onnx", "onnxsim", "onnxruntime"),
    "tensorflow": ("tensorflow",),
    "paddle": ("paddle", "paddle2onnx", "onnx", "onnxruntime"),
    "mindspore": ("mindspore",),
}


def _installed_here(name: str) -> bool:
    """Tell whether this interpreter has the packages of a set of requirements and of those it stands on."""
    from importlib.util import find_spec

    about = ENVIRONMENTS[name]
    if about.before and not _installed_here(about.before):
        return False
    if name == "core" and not any(find_spec(engine) for engine in ("openvino", "onnxruntime")):
        return False
    return name in _PROOF and all(find_spec(module) is not None for module in _PROOF[name])


def _make_importable(folder: Path) -> None:
    """Let the environment's Python import the project: the checkout's folder, or one that holds clip2om alone."""
    place = next((folder / "lib").glob("python3.*")) / "site-packages"
    (place / "clip2om-here.pth").write_text(f"{import_folder(folder)}\n", encoding="utf-8")


def import_folder(near: Path) -> Path:
    """Return a folder from which the project can be imported and, in an installation, nothing else."""
    if CHECKOUT:
        return ROOT
    # Several installations share the user's environments: each has a folder of its own, called after where it is.
    alone = (near / "clip2om-alone" / hashlib.sha256(os.fsencode(ROOT)).hexdigest()[:16]).absolute()
    alone.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (alone / "clip2om").symlink_to(ROOT, target_is_directory=True)
    return alone


def _followed(command: List[str], what: str, console: Console, todo: str) -> None:
    """Run a command that may take minutes: its latest line is told every few seconds, its end only if it fails.

    Raises:
        RequestError: it failed; the last lines of its output were shown.
    """
    start, tail = time.perf_counter(), []  # type: Tuple[float, List[str]]
    try:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise RequestError(f"cannot be started ({error.strerror})", command[0], todo) from None
    lines: "queue.Queue[str]" = queue.Queue()
    assert process.stdout is not None
    reader = threading.Thread(target=_collect, args=(process.stdout, lines))
    reader.start()
    said = start
    try:
        while reader.is_alive() or not lines.empty():
            with contextlib.suppress(queue.Empty):
                tail = [*tail, lines.get(timeout=0.2).rstrip()][-_TAIL:]
            now = time.perf_counter()
            if now - said > _SAY_S:
                said = now
                console.say(f"{what}: {_short(tail)} ({duration(now - start)})")
    finally:
        if process.poll() is None and sys.exc_info()[0] is not None:
            process.terminate()
        code = process.wait()
        reader.join()
    if code:
        for line in tail:
            console.warn(line)
        raise RequestError(f"{' '.join(command[1:4])} ended with {code}", command[0], todo)


def _collect(stream: Iterable[str], lines: "queue.Queue[str]") -> None:
    for line in stream:
        lines.put(line)


_SAYS_NOTHING = ("WARNING", "[notice]", "Found existing", "Attempting", "Uninstalling", "Successfully uninstalled")


def _short(tail: List[str]) -> str:
    """Return the latest line that says what is being done, cut to one line of a terminal."""
    telling = [line.strip() for line in tail if line and not line.strip().startswith(_SAYS_NOTHING)]
    # A file is named by its path; the name at its end is what tells.
    return re.sub(r"^(Processing|Using cached) \S*/", r"\1 ", telling[-1])[:90] if telling else "working"


def _version_of(python: str) -> Tuple[int, int]:
    if python == sys.executable:
        return sys.version_info[0], sys.version_info[1]
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        major, minor = done.stdout.split()
        return int(major), int(minor)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise RequestError(f"is no Python that runs ({type(error).__name__})", python, "check VENV_PYTHON=") from None
