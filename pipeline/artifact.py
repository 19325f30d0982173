"""Files that are whole when they exist: digests, atomic writes, sidecars and folder locks."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, Union

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.opening import open_regular, read_regular
from clip2om.pipeline.texts import MOST_BYTES, read_text

PathLike = Union[str, "os.PathLike[str]"]
# Stays in a core's own cache, where a megabyte would not.
_CHUNK = 1 << 17
PARTIAL_PREFIX = ".partial-"
# More than any file of ours or of a dataset has, less than what the steps after the parser could not walk.
_DEEPEST = 64
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def sha256_file(path: PathLike) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    block = memoryview(bytearray(_CHUNK))
    with open_regular(path) as stream:
        for count in iter(lambda: stream.readinto(block), 0):  # type: ignore[attr-defined]
            digest.update(block[:count])
    return digest.hexdigest()


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a JSON value in canonical form (sorted keys, no blanks)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its name on success and vanishes on failure.

    The suffix is kept, because some writers choose their format by it. The data are flushed to the disk
    before the rename, so that a power cut cannot leave an empty file under the final name.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=PARTIAL_PREFIX, suffix=final.suffix, dir=final.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, final)
    except OSError as error:
        # A failed write (a full disk) names no file; the message should.
        with contextlib.suppress(AttributeError):  # a library's own OSError may be read-only
            error.filename = error.filename or str(final)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: PathLike, text: str) -> None:
    """Write ``text`` as UTF-8 under ``path``, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_if_changed(path: PathLike, data: bytes) -> bool:
    """Write ``data`` under ``path``, whole or not at all; a file that holds them already keeps its time.

    Returns:
        True where the file was written.
    """
    try:
        if Path(path).read_bytes() == data:
            return False
    except FileNotFoundError:
        pass
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return True


def write_json(path: PathLike, kind: str, version: int, payload: Dict[str, Any], indent: int = 1) -> None:
    """Write ``payload`` as a JSON object that states its kind (``clip2om.<kind>``) and format version."""
    write_text(path, json_text(kind, version, payload, indent))


def json_text(kind: str, version: int, payload: Dict[str, Any], indent: int = 1) -> str:
    """Return the text that :func:`write_json` writes."""
    head = {"kind": f"clip2om.{kind}", "version": version}
    text = json.dumps({**head, **payload}, indent=indent or None, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def read_json(path: PathLike, kind: str, version: int, todo: str) -> Dict[str, Any]:
    """Read an object written by :func:`write_json`.

    Raises:
        RequestError: the file is missing, is not JSON, is of another kind or of another format version.
    """
    payload = load_json(path, todo)
    if not isinstance(payload, dict) or payload.get("kind") != f"clip2om.{kind}":
        found = payload.get("kind") if isinstance(payload, dict) else type(payload).__name__
        raise RequestError(f"holds {found!r}, expected 'clip2om.{kind}'", path, todo)
    if payload.get("version") != version:
        raise RequestError(f"has format version {payload.get('version')}, this release reads {version}", path, todo)
    return {key: value for key, value in payload.items() if key not in ("kind", "version")}


def load_json(path: PathLike, todo: str) -> Any:
    """Parse a JSON file; a missing or malformed one is a RequestError that ends with ``todo``."""
    return parse_json(read_text(path, todo), path, todo)


def parse_json(text: str, where: object, todo: str) -> Any:
    """Parse JSON of strangers.

    Raises:
        RequestError: it is none, is nested deeper than :data:`_DEEPEST`, or holds a number of thousands of digits or
            half of a character.
    """
    what = ""
    try:
        value = json.loads(text)
        _check_depth(value)
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except json.JSONDecodeError as error:
        what = f"is not JSON (line {error.lineno}: {error.msg})"
    except RecursionError:
        what = f"is nested too deep, expected at most {_DEEPEST} levels"
    except UnicodeEncodeError:
        what = "is not JSON of whole characters (half of a surrogate pair)"
    except ValueError:
        what = "is not JSON with numbers of a sane size (thousands of digits)"
    raise RequestError(what, where, todo or None)


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > _DEEPEST:
            raise RecursionError
        inside = (item.values() if type(item) is dict else item for item in level if type(item) in (dict, list))
        level = [item for items in inside for item in items if type(item) in (dict, list)]


def read_journal(path: Path) -> List[str]:
    """Return the whole lines of a file to which a run of ours appends; none where there is no such file.

    Raises:
        RequestError: it is no file, or of an insane size.
    """
    try:
        data = read_regular(path, MOST_BYTES)
    except FileNotFoundError:
        return []
    # The last line may have been cut by a kill, at any byte.
    return data.decode("utf-8", "replace").split("\n")


def remove_partials(folder: PathLike) -> None:
    """Delete what an interrupted run left under a temporary name in ``folder`` (and nothing else)."""
    for path in Path(folder).glob(f"{PARTIAL_PREFIX}*"):
        if path.is_symlink() or not path.is_dir():
            path.unlink()


@contextlib.contextmanager
def folder_lock(folder: PathLike) -> Iterator[None]:
    """Hold ``folder`` for one writer; the lock ends with the process, also when it is killed.

    Raises:
        RequestError: another process is writing there.
    """
    import fcntl

    Path(folder).mkdir(parents=True, exist_ok=True)
    # A link under this name would create, or lock, a file elsewhere.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    lock = Path(folder) / ".lock"
    try:
        handle = os.open(lock, flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise RequestError("is no file of ours, and a run needs one of this name", lock, "delete it") from None
        raise
    with open(handle, "rb+", buffering=0) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RequestError(
                "another run is writing here", folder, "wait for it, or choose another --output"
            ) from None
        yield


@contextlib.contextmanager
def clean_folder(folder: PathLike) -> Iterator[None]:
    """Clear away what killed runs left in a folder in which several may write whole files at the same time.

    No lock file is left in it: the folder itself is locked, where its file system can do that.
    """
    import fcntl

    Path(folder).mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Whoever is alone here clears away; who is not, or cannot know, leaves everything as it is.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_partials(folder)
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
