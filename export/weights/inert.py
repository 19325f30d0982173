"""Pickles read without running anything: what is not weights becomes a stand-in that takes any state and does nothing.

No class or function that a file names is ever imported. A global is one of three things: a part of how weights are
written (:data:`export.weights.rebuild.WEIGHTS`), data beside them (a class, of which a stand-in is made), or something
that runs (a function, or most of the standard library), for which the whole file is refused.
"""

from __future__ import annotations

import pickle
import re
import sys
from typing import Any, BinaryIO, Callable, Dict, Mapping, Tuple

from clip2om.export.weights import opcodes

# Python 2's names of modules, which pickles of protocol 2 and lower keep.
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg", "cPickle": "pickle", "UserDict": "collections"}
# Of the standard library, modules of data alone, and of others the names that are.
_DATA_MODULES = {"collections", "datetime", "pathlib", "decimal", "fractions", "uuid", "enum", "typing", "zoneinfo"}
_DATA_NAMES = {
    "argparse": {"Namespace"},
    "array": {"array", "_array_reconstructor"},
    "builtins": {
        *("set", "frozenset", "bytearray", "complex", "slice", "range", "xrange", "object", "list", "dict", "tuple"),
        *("int", "long", "float", "str", "unicode", "bytes", "bool", "type", "NoneType", "Ellipsis", "NotImplemented"),
        # How pickles name the methods of a class; the result is a stand-in here, whatever it is taken from.
        "getattr",
    },
    "functools": {"partial"},
    "ipaddress": {"IPv4Address", "IPv6Address"},
    "logging": {"Logger", "getLogger"},
    "random": {"Random"},
    "re": {"_compile"},
    "string": {"Template"},
    "threading": {"Lock"},
    "time": {"struct_time"},
    "types": {"SimpleNamespace", "MappingProxyType"},
}
# Functions of other modules that only put data together again, by how such functions are called.
_REBUILDS = re.compile(
    r"_*(pyx_)?(unpickle|rebuild|reconstruct|restore|frombuffer|scalar|dtype|ndarray|randomstate_ctor|generator_ctor"
    r"|bit_generator_ctor|device|get_layout)"
)
_FALLBACK = (  # noqa: SIM905
    "os posix nt sys subprocess shutil socket importlib runpy code codeop pty ctypes _ctypes operator _operator io _io"
    " marshal pickle _pickle shelve tempfile webbrowser urllib http ftplib smtplib asyncio multiprocessing threading"
    " _thread timeit profile cProfile pdb bdb trace doctest unittest ast inspect gc signal platform zipfile tarfile"
    " zipimport pkgutil site sysconfig builtins functools types logging argparse string re random time copyreg codecs"
    " _codecs ensurepip venv pydoc idlelib lib2to3 distutils test glob fileinput linecache mmap xml sqlite3 dbm"
).split()
# Known from Python 3.10 on.
_STANDARD = frozenset(getattr(sys, "stdlib_module_names", _FALLBACK))


class RefusedError(Exception):
    """To read the file on would be to run what the message names."""


class StandIn:
    """Takes the place of an object that is no weight; its class says which (:attr:`Kind.path`)."""

    path = ""

    def __new__(cls, *args: object, **keywords: object) -> "StandIn":
        """Make one of any arguments."""
        made = super().__new__(cls)
        made.given, made.state, made.entries = args, None, {}  # type: ignore[attr-defined]
        return made

    def __init__(self, *args: object, **keywords: object) -> None:
        """Take any arguments."""

    def __setstate__(self, state: object) -> None:
        """Keep a state as it is."""
        self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        """Keep an entry, as of a class derived from dict."""
        self.entries[key] = value  # type: ignore[attr-defined]

    def append(self, value: object) -> None:
        """Take an element, as of a class derived from list."""

    def extend(self, values: object) -> None:
        """Take elements."""

    def add(self, value: object) -> None:
        """Take an element, as of a class derived from set."""

    def __call__(self, *args: object) -> None:
        """Refuse: what a pickle calls is a function.

        Raises:
            RefusedError: always.
        """
        raise RefusedError(type(self).path)


class Kind(type):
    """The class of a class or function that a file names: calling it makes a stand-in, or is refused.

    Attributes:
        path: Module and name.
    """

    path: str

    def __call__(cls, *args: Any, **keywords: Any) -> Any:
        """Stand in for the call of a class; that of a function, which names in lower case are, is refused.

        Raises:
            RefusedError: it is a function.
        """
        leaf = cls.path.rpartition(".")[2]
        if not (cls.path in _KNOWN or leaf.lstrip("_")[:1].isupper() or _REBUILDS.match(leaf)):
            raise RefusedError(cls.path)
        return super().__call__(*args, **keywords)


_KNOWN = frozenset(f"{module}.{name}" for module, names in _DATA_NAMES.items() for name in names) | {
    *("collections.deque", "datetime.datetime", "datetime.date", "datetime.time", "datetime.timedelta"),
    "datetime.timezone",
}


class Safe:
    """A function of ours in the place of one that a file names: it can be called and nothing else."""

    __slots__ = ("run",)

    def __init__(self, run: Callable[..., Any]) -> None:
        object.__setattr__(self, "run", run)

    def __call__(self, *args: Any) -> Any:
        """Call it."""
        return self.run(*args)  # type: ignore[attr-defined]

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: a pickle may set attributes of what is on its stack."""
        raise RefusedError(f"a change of {name}")

    def __setstate__(self, state: object) -> None:
        """Refuse likewise."""
        raise RefusedError("a change of a function")


class Entries(dict):
    """Stands in for OrderedDict and its kin: entries alone, no attributes."""

    __slots__ = ()

    def __init__(self, *args: object) -> None:
        super().__init__(*args[:1] if args and isinstance(args[0], (dict, list, tuple)) else ())

    def __setstate__(self, state: object) -> None:
        """Take no attributes, such as the ``_metadata`` of a state dict."""


class Unpickler(pickle.Unpickler):
    """Reads one pickle.

    Args:
        stream: Where it begins.
        weights: What stands for the globals of weights, by module and name.
        storage: Gives what a persistent identifier stands for.
    """

    def __init__(self, stream: BinaryIO, weights: Mapping[Tuple[str, str], Any], storage: Callable[[Any], Any]) -> None:
        super().__init__(stream, encoding="latin1")
        self._stream, self._weights, self._storage = stream, weights, storage
        self._kinds: Dict[Tuple[str, str], Any] = {}

    def load(self) -> Any:
        """Read one pickle, once its opcodes ask for nothing insane.

        Raises:
            pickle.UnpicklingError: they do; and whatever a malformed pickle raises.
        """
        opcodes.check(self._stream)
        return super().load()

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a global; nothing is imported.

        Raises:
            RefusedError: it runs something.
        """
        key = (_RENAMED.get(module, module), name)
        found = self._weights.get(key) or _OWN.get(key) or self._kinds.get(key)
        if found is None:
            found = self._kinds.setdefault(key, stand_in(*key))
        return found

    def persistent_load(self, identifier: Any) -> Any:
        """Return a storage."""
        return self._storage(identifier)


def stand_in(module: str, name: str) -> Any:
    """Return the class of stand-ins for a global.

    Raises:
        RefusedError: it is of the standard library, and no data.
    """
    top = module.partition(".")[0]
    known = top in _DATA_MODULES or name in _DATA_NAMES.get(module, ())
    if not known and (top in _STANDARD or not module):
        raise RefusedError(f"{module}.{name}")
    return Kind(name, (StandIn,), {"path": f"{module}.{name}"})


def _encode(text: object, encoding: object = "") -> bytes:
    """Stand in for ``_codecs.encode``: bytes in pickles of protocol 2 are text in Latin-1."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise RefusedError(f"_codecs.encode to {encoding}")
    return text.encode("latin1")


def _new(cls: Any, *rest: object) -> Any:
    """Stand in for what makes objects of protocol 0 and 1: the class first."""
    if isinstance(cls, Kind):
        return StandIn.__new__(cls)  # type: ignore[arg-type]
    if cls is Entries:
        return Entries()
    raise RefusedError("copyreg._reconstructor")


_OWN: Dict[Tuple[str, str], Any] = {
    ("collections", "OrderedDict"): Entries,
    ("collections", "defaultdict"): Entries,
    ("collections", "Counter"): Entries,
    ("_codecs", "encode"): Safe(_encode),
    ("copyreg", "_reconstructor"): Safe(_new),
    ("copyreg", "__newobj__"): Safe(_new),
    ("copyreg", "__newobj_ex__"): Safe(_new),
}
