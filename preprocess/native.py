"""The compiled resizes of kernels.c, where this host has a C compiler; without one everything works, slower.

The library is compiled once, in a third of a second, into a folder of the project's own, under a name that says from
what and for which processor.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Callable, List, Optional

import numpy as np

from clip2om.pipeline.artifact import PARTIAL_PREFIX, sha256_file, write_text
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.places import native_folder, user_cache
from clip2om.preprocess.frames import Frame
from clip2om.preprocess.geometry import Crop

Form = Callable[[Frame, Crop], np.ndarray]
_SOURCE = Path(__file__).with_name("kernels.c")
_COMPILERS = ("cc", "gcc", "clang")
_SECONDS = 60
# What /proc/cpuinfo must list for each. By Intel's specification updates, Xeons without vbmi2 (Skylake, Cascade Lake)
# lower their frequency for vectors of 512 bits, and decoding would be slower with it. That was not measured here.
_VECTORS = {"avx2": ("avx2",), "avx512bw": ("avx2", "avx512bw", "avx512_vbmi2")}


class Bilinear(ctypes.Structure):
    """``struct bilinear`` of kernels.c."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("width", "height", "size", "padded", "blocks_x", "taps_y", "kept")),
        *((name, ctypes.c_void_p) for name in ("from_x", "weights_x", "from_y", "weights_y")),
    ]


@functools.lru_cache(maxsize=1)
def library() -> Optional[ctypes.CDLL]:
    """Return the compiled kernels, or None where they cannot be compiled or loaded."""
    flags = ["-O3", "-ffp-contract=off", "-shared", "-fPIC", *_processor_flags()]
    text = _SOURCE.read_bytes() + " ".join([platform.machine(), *flags]).encode()
    path = native_folder() / f"kernels-{hashlib.sha256(text).hexdigest()[:16]}.so"
    if not _is_ours(path) and not _compile(path, flags):
        return None
    try:
        found = ctypes.CDLL(str(path))
    except OSError:
        return None
    pointer, number, distance = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
    found.pil_bilinear.argtypes = (ctypes.POINTER(Bilinear), pointer, distance, pointer, pointer)
    found.cv2_linear.argtypes = found.torch_linear.argtypes = (pointer, distance, number, number, *[pointer] * 6)
    found.pil_bilinear.restype = found.cv2_linear.restype = found.torch_linear.restype = None
    return found


def is_exact(form: Form, definition: Form) -> bool:
    """True where ``form`` exists on this host and gives what ``definition`` gives, on a frame made for the purpose."""
    rows, columns, channels = np.ogrid[:61, :83, :3]
    probe = ((rows * 37 + columns * 101 + channels * 59 + rows * columns * 7) % 256).astype(np.uint8)
    crops = (
        Crop(39, 28, 5, 0, 28),
        Crop(112, 82, 10, 3, 77),
        Crop(20, 61, 0, 21, 20),
        Crop(83, 17, 30, 2, 15),
        Crop(112, 82, 3, 1, 99, 80),
    )
    try:
        return all(np.array_equal(form(probe, crop), definition(probe, crop)) for crop in crops)
    except NotImplementedError:
        return False


def _processor_flags() -> List[str]:
    """Return the flags for the vectors that the processor has; without any the plain code runs."""
    if platform.machine() != "x86_64":
        return []
    try:
        able = set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return []
    return [f"-m{name}" for name, marks in _VECTORS.items() if able.issuperset(marks)]


def _is_ours(path: Path) -> bool:
    """True for a library that this user compiled on this host: who is handed a folder build/ is handed no code.

    The proof is the digest in the user's own cache, which does not travel with the folder.
    """
    try:
        record = _record(path)
        private = all(_is_private(place) for place in (path, path.parent, record, record.parent))
        return private and record.read_text(encoding="ascii") == sha256_file(path)
    except (OSError, RuntimeError, ValueError, RequestError):
        return False


def _is_private(place: Path) -> bool:
    about = place.lstat()
    kind = stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)
    return kind and about.st_uid == os.geteuid() and not about.st_mode & 0o022


def _record(path: Path) -> Path:
    return user_cache() / "kernels" / f"{path.name}.sha256"


def _keep(path: Path) -> None:
    """Note what was compiled; where there is no cache to note it in, every process compiles for itself."""
    try:
        record = _record(path)
        record.parent.mkdir(parents=True, exist_ok=True)
        for place in (path, path.parent, record.parent):
            os.chmod(place, stat.S_IMODE(place.stat().st_mode) & ~0o022)
        write_text(record, sha256_file(path))
        os.chmod(record, 0o600)
    except (OSError, RuntimeError):
        pass


def _compile(path: Path, flags: List[str]) -> bool:
    """Compile the library, whole or not at all; several processes may do so at once."""
    compiler = next((found for found in map(shutil.which, _COMPILERS) if found), None)
    if compiler is None:
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=PARTIAL_PREFIX, dir=path.parent) as folder:
            made = Path(folder) / path.name
            command = [compiler, *flags, "-o", str(made), str(_SOURCE)]
            done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
            if done.returncode:
                return False
            os.replace(made, path)
            _keep(path)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return True
