"""What of Ascend a host has: CANN, driver, chips, device nodes, variables. For the record of a run and for the doctor.

Installation paths and version files are documented by the vendor (CANN 6 to 9); nothing here was tried on hardware.
"""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from clip2om.pipeline import npu_smi
from clip2om.pipeline.facts import versions
from clip2om.pipeline.npu_smi import Chip
from clip2om.pipeline.typed import to_dict

ROOT = Path("/")
PYTHON_PACKAGES = ("ais_bench", "aclruntime")
# Variables that decide which CANN runs, where, and how much it logs.
VARIABLES = (
    *("ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME", "ASCEND_OPP_PATH", "ASCEND_RT_VISIBLE_DEVICES"),
    *("ASCEND_GLOBAL_LOG_LEVEL", "ASCEND_SLOG_PRINT_TO_STDOUT", "ASCEND_LOG_PRINT_TO_STDOUT", "ASCEND_WORK_PATH"),
    *("ASCEND_PROCESS_LOG_PATH", "ASCEND_CACHE_PATH", "DUMP_GE_GRAPH", "TE_PARALLEL_COMPILER"),
)
_HOMES = ("cann", "ascend-toolkit/latest", "nnae/latest", "nnrt/latest")
_VERSION = re.compile(r"\d+\.\d+(?:\.\w+)*")
_INSTALLED = re.compile(r"^version=(\S+)", re.MULTILINE)
_PACKAGE = re.compile(r"^package_name=(\S+)", re.MULTILINE)
# Of Ascend-cann-310p-ops: 310p.
_CHIP = re.compile(r"cann-(.+)-ops", re.IGNORECASE)
_RUNNING = re.compile(r"^\w+_running_version=\[(?:[^:\]]*:)?([^\]]+)\]", re.MULTILINE)
_DIRECTORY = re.compile(r"^version_dir=(\S+)", re.MULTILINE)
_DRIVER = re.compile(r"^(?:package_version|Version)=(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Cann:
    """A CANN installation.

    Attributes:
        home: What ASCEND_HOME_PATH is, or would be after set_env.sh.
        package: ``toolkit`` (compiles and runs), ``nnae`` or ``nnrt`` (run only), or empty where that cannot be told.
        version: For example ``8.0.RC2``; empty where no version file can be read.
        sourced: The environment points to this installation.
        ops: Versions of the operator packages: needed beside the toolkit from CANN 8.5 on.
        ops_chips: The chip of each of them, ``310p``; from 8.5 on a package is for one chip.
    """

    home: str
    package: str
    version: str
    sourced: bool
    ops: List[str] = field(default_factory=list)
    ops_chips: List[str] = field(default_factory=list)

    @property
    def release(self) -> Tuple[int, int]:
        """Major and minor version; (0, 0) where it is not known."""
        return release(self.version)


@dataclass(frozen=True)
class AscendHost:
    """Everything found; ``npu_smi`` is None where the tool is absent."""

    cann: Optional[Cann]
    driver: str
    npu_smi: Optional[npu_smi.Listing]
    nodes: List[str]
    variables: Dict[str, str]

    @property
    def chips(self) -> List[Chip]:
        """Chips as npu-smi lists them."""
        return self.npu_smi.chips if self.npu_smi else []

    def __bool__(self) -> bool:
        return bool(self.cann or self.driver or self.npu_smi or self.nodes)


def probe(root: Path = ROOT, environ: Optional[Mapping[str, str]] = None, timeout_s: float = 20.0) -> AscendHost:
    """Look at the file system below ``root`` and at ``environ`` (default: this process's); run npu-smi if there."""
    given = os.environ if environ is None else environ
    return AscendHost(
        find_cann(root, given),
        driver_version(root),
        npu_smi.run(given, timeout_s),
        device_nodes(root),
        {name: given[name] for name in VARIABLES if name in given},
    )


@functools.lru_cache(maxsize=1)
def facts() -> Dict[str, Any]:
    """Return what belongs into the record of a run, as JSON values; empty on a host without anything of Ascend.

    Cheap (no process is started) unless npu-smi is on the PATH; asked once per process.
    """
    host = probe(timeout_s=5.0)
    if not host:
        return {}
    listing = host.npu_smi or npu_smi.Listing()
    return {
        "cann": to_dict(host.cann),
        "driver": host.driver or listing.driver,
        "npu_smi": listing.tool,
        "chips": [chip.name for chip in host.chips],
        "nodes": host.nodes,
        "variables": host.variables,
        "packages": versions(PYTHON_PACKAGES),
    }


def find_cann(root: Path, environ: Mapping[str, str]) -> Optional[Cann]:
    """Return the installation that the environment points to, else the first one in the usual places.

    The usual places are those of CANN up to 8.3 (ascend-toolkit/latest, nnae/latest, nnrt/latest) and from 8.5 on
    (cann), below /usr/local/Ascend and below Ascend in the user's home.
    """
    for name in ("ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"):
        home = environ.get(name, "")
        if home and os.path.isdir(home):
            return _cann(Path(home), sourced=True)
    return next((_cann(home, sourced=False) for home in _usual(root, environ)), None)


def platforms(home: str) -> List[str]:
    """Return the chips that a CANN has platform files of, which ATC asks for; empty where it has none."""
    folders = ("data/platform_config", "*/data/platform_config", "*/platform_config")
    return sorted({path.stem for folder in folders for path in Path(home).glob(f"{folder}/Ascend*.ini")})


def driver_version(root: Path = ROOT) -> str:
    """Return the version of the installed driver, empty where there is none (or a container does not show it)."""
    text = _read(root / "usr/local/Ascend/driver/version.info")
    found = _DRIVER.search(text)
    return found.group(1) if found else ""


def device_nodes(root: Path = ROOT) -> List[str]:
    """Return the device files of NPUs and of their management, sorted by number."""
    names = ("davinci_manager", "devmm_svm", "svm0", "hisi_hdc")
    chips = [path.name for path in (root / "dev").glob("davinci[0-9]*")]
    found = sorted(chips, key=lambda name: (len(name), name))
    return [f"/dev/{name}" for name in (*found, *(name for name in names if os.path.exists(root / "dev" / name)))]


def release(version: str) -> Tuple[int, int]:
    """Return major and minor of a CANN version, (0, 0) where it is not one: 8.0.RC2 is (8, 0)."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def _usual(root: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    bases = [root / "usr/local/Ascend"]
    if environ.get("HOME"):
        bases.append(Path(environ["HOME"]) / "Ascend")
    for base in bases:
        for name in _HOMES:
            # os.path answers False where a folder may not be read; Path.is_dir would raise.
            if os.path.isdir(base / name):
                yield base / name
        yield from sorted(base.glob("cann-[0-9]*"), reverse=True)


def _cann(home: Path, sourced: bool) -> Cann:
    infos = [*home.glob("ascend_*_install.info"), *home.glob("*-linux/ascend_*_install.info")]
    texts = [_read(path) for path in sorted(infos)]
    ops = [text for text in texts if "ops" in _first(_PACKAGE, text)]
    main = next((text for text in texts if text not in ops and _first(_INSTALLED, text)), "")
    package = _first(_PACKAGE, main).rpartition("-")[2] or _package(home)
    version = _first(_INSTALLED, main) or _version(home)
    chips = [_first(_CHIP, _first(_PACKAGE, text)).lower() for text in ops]
    return Cann(str(home), package, version, sourced, [_first(_INSTALLED, text) for text in ops], chips)


def _package(home: Path) -> str:
    if any(os.path.exists(home / folder / "atc") for folder in ("bin", "compiler/bin")):
        return "toolkit"
    return next((name for name in ("nnae", "nnrt") if name in home.parts), "")


def _version(home: Path) -> str:
    """Return the version from version.cfg (up to 8.3), a version.info, or the name of the folder itself."""
    for pattern, path in ((_RUNNING, home / "version.cfg"), (_DIRECTORY, home / "version.info")):
        found = _first(pattern, _read(path))
        if found:
            return found
    for path in sorted(home.glob("*/version.info")):
        found = _first(_DIRECTORY, _read(path))
        if found:
            return found
    named = _VERSION.search(os.path.basename(os.path.realpath(home)))
    return named.group() if named else ""


def _first(pattern: "re.Pattern[str]", text: str) -> str:
    found = pattern.search(text)
    return found.group(1) if found else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
