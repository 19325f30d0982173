"""Files that are whole when they exist: digests, atomic writes, sidecars and folder locks."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, Union

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.texts import read_text

PathLike = Union[str, "os.PathLike[str]"]
# Stays in a core's own cache, where a megabyte would not.
_CHUNK = 1 << 17
PARTIAL_PREFIX = ".partial-"


def sha256_file(path: PathLike) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    block = memoryview(bytearray(_CHUNK))
    with open(path, "rb", buffering=0) as stream:
        for count in iter(lambda: stream.readinto(block), 0):
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
    text = read_text(path, todo)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise RequestError(f"is not JSON (line {error.lineno}: {error.msg})", path, todo) from None


def remove_partials(folder: PathLike) -> None:
    """Delete what an interrupted run left under a temporary name in ``folder`` (and nothing else)."""
    for path in Path(folder).glob(f"{PARTIAL_PREFIX}*"):
        path.unlink()


@contextlib.contextmanager
def folder_lock(folder: PathLike) -> Iterator[None]:
    """Hold ``folder`` for one writer; the lock ends with the process, also when it is killed.

    Raises:
        RequestError: another process is writing there.
    """
    import fcntl

    Path(folder).mkdir(parents=True, exist_ok=True)
    with open(Path(folder) / ".lock", "a", encoding="ascii") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RequestError(
                "another run is writing here", folder, "wait for it, or choose another --output"
            ) from None
        yield


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
