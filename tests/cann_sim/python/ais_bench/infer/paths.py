"""What the second generation demands of paths [S]: characters, owners, permissions, no links, sizes."""

from __future__ import annotations

import argparse
import json
import os
import re
import stat
from pathlib import Path
from typing import Iterable, List

from _cann_sim import knobs

_LEGAL = re.compile(r"[_A-Za-z0-9/.-]+")
_MODEL_LIMIT = 10 << 30
_INPUT_LIMIT = 4 << 30
_MOST_INPUTS = 1024


def _refuse(path: str, why: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"path:{path} is illegal: {why}")


def _check_name(path: str) -> None:
    if not _LEGAL.fullmatch(os.path.abspath(path)):
        raise _refuse(path, "only _, A-Z, a-z, 0-9, /, . and - are allowed in the absolute path")
    if os.path.islink(path.rstrip("/")):
        raise _refuse(path, "it is a symbolic link")


def _check_owner(path: str, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid() and found.st_gid not in (os.getegid(), *os.getgroups()):
        raise _refuse(path, "it belongs to another user")


def _check_readable(path: str, limit: int) -> None:
    _check_name(path)
    if not os.path.exists(path):
        raise _refuse(path, "it does not exist")
    found = os.stat(path)
    _check_owner(path, found)
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _refuse(path, "it can be written by group or others")
    if not os.access(path, os.R_OK):
        raise _refuse(path, "it cannot be read")
    if os.path.isfile(path) and found.st_size > limit:
        raise _refuse(path, f"it has more than {limit} bytes")


def check_model(path: str) -> None:
    """Check --model.

    Raises:
        argparse.ArgumentTypeError: which exits with 2.
    """
    _check_readable(path, _MODEL_LIMIT)
    if not path.endswith(".om"):
        raise _refuse(path, "the model must end with .om")


def check_inputs(paths: List[str]) -> None:
    """Check --input: every file, and every entry of every folder."""
    if len(paths) > _MOST_INPUTS:
        raise argparse.ArgumentTypeError(f"{len(paths)} inputs, at most {_MOST_INPUTS}")
    for path in paths:
        _check_readable(path, _INPUT_LIMIT)
        if os.path.isdir(path):
            for name in _entries(path):
                _check_readable(os.path.join(path, name), _INPUT_LIMIT)


def _entries(path: str) -> Iterable[str]:
    names = sorted(os.listdir(path))
    most = int(knobs.number("MOST_FILES", 100_000))
    if len(names) > most:
        raise OverflowError(f"file count under directory: {path} is over {most}!")
    return names


def check_acl_json(path: str) -> None:
    """Check --acl_json_path: a dump names its model, and writes into a folder that exists, closed as an output is.

    Raises:
        ValueError: in the tool's words.
    """
    dump = json.loads(Path(path).read_text(encoding="utf-8")).get("dump")
    if dump is None:
        return
    if not all(entry.get("model_name") for entry in dump.get("dump_list", [{}])):
        raise ValueError(f"model_name in acl json file:{path} is illegal")
    folder = dump.get("dump_path", "")
    if not os.path.isdir(folder) or os.stat(folder).st_mode & (stat.S_IWGRP | stat.S_IRWXO):
        raise ValueError(f"dump path in acl json file:{path} is illegal")


def check_output(path: str) -> None:
    """Check --output: an existing folder must be closed to others and not writable by the group (<= 0750)."""
    _check_name(path)
    if not os.path.exists(path):
        return
    found = os.stat(path)
    _check_owner(path, found)
    if found.st_mode & (stat.S_IWGRP | stat.S_IRWXO):
        raise _refuse(path, f"its permissions {stat.S_IMODE(found.st_mode):o} exceed 750")
