"""A strict simulator of the CANN tools, put in place by environment variables alone.

    from tests.cann_sim import environment
    subprocess.run(["atc", ...], env=environment(soc="Ascend310P3", devices=2, violations=tmp_path / "violations"))

Executables: ``atc``, ``npu-smi``, ``msame``. Modules: ``acl``, ``ais_bench``, ``aclruntime``. The knobs, each a
keyword of :func:`environment` and a variable CANN_SIM_<KEYWORD>:

    soc, devices          chip (Ascend310P3) and number of devices (1)
    driver, permission    0: no driver on the host; 0: the user may not open the devices
    devices_taken         physical devices that somebody else uses, e.g. "1"
    device_memory         bytes of memory per device and process
    run_mode              1 host with a card (default), 0 program on the chip itself
    violations, warnings  files that get a line per breach of the contract, and per suspicious call
    trace                 file that gets the name of every acl call, and of every task on a stream
    concurrency           file that gets "device count" when an execution begins: how many have begun and not ended
    old_events            1: create_event_with_flag knows TIME_LINE alone, as in CANN 5
    timeouts              0: no wait has a time-out, as in early releases
    fail                  "acl.rt.malloc:3:207001;task.execute:2:507011": the n-th call (0: every) returns the code;
                          a fourth field limits it to one logical device
    h2d_ms, compute_ms, d2h_ms    least time of each stage, in milliseconds, per copy or execution
    null_compute          1: nothing is computed, outputs are zeros (measures overlap only)
    threads               threads of what executes a model (0: all cores)
    gear_first            1: the hidden input of gears is the first one, not the last
    gear_bytes            bytes of a number in it: 4 (default) or 8
    hang                  1: an execution never ends
    power                 watts that npu-smi shows for a 310P (NA)
    output_padding        bytes that the device adds to every output
    atc_bits              significant bits of weights that atc keeps with a float16 mode: 16 (default), 11 is float16
    operators             chip of the operator package that atc looks for ("310p", "none"); unset: not looked for
    atc_fail, atc_seconds, atc_kill, atc_no_output    see python/_cann_sim/atc/main.py
    most_files            files that the second ais_bench takes in a folder (100000)
    ais_bench             G1 or G2 (default)
"""

from __future__ import annotations

import atexit
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Dict, Mapping, Optional

HERE = Path(__file__).resolve().parent
_VERSION = "8.0.0"
_CANN = ("acl", "_cann_sim")
_BENCH = ("ais_bench", "aclruntime.py", "ais_bench-0.0.2.dist-info", "aclruntime-0.0.2.dist-info", "_cann_sim")
_default: Optional[Path] = None


def install(root: Path) -> Path:
    """Lay out a host under ``root`` as an installation does, and return the toolkit's home.

    ``root``/usr/local/Ascend has ascend-toolkit/latest (bin, python/site-packages, opp, lib64, version.cfg) and
    driver; npu-smi is in ``root``/usr/local/bin, msame in ``root``/msame, ais_bench in ``root``/pip.
    """
    ascend = root / "usr/local/Ascend"
    home = ascend / "ascend-toolkit/latest"
    machine = platform.machine()
    for folder in ("bin", "python/site-packages", "opp", "toolkit", "lib64", f"{machine}-linux/devlib", "compiler"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    for folder in (ascend / "driver/lib64", root / "usr/local/bin", root / "msame", root / "pip"):
        folder.mkdir(parents=True, exist_ok=True)
    (home / "version.cfg").write_text(
        f"# version: 1.0\nruntime_running_version=[7.6.0.1.220:{_VERSION}]\n"
        f"compiler_running_version=[7.6.0.1.220:{_VERSION}]\ntoolkit_running_version=[7.6.0.1.220:{_VERSION}]\n"
    )
    (home / "compiler/version.info").write_text(f"Version={_VERSION}\nversion_dir={_VERSION}\n")
    (ascend / "driver/version.info").write_text("Version=24.1.0.1\nascendhal_version=7.35.23\n")
    _link(HERE / "bin/atc", home / "bin/atc")
    _link(HERE / "bin/npu-smi", root / "usr/local/bin/npu-smi")
    _link(HERE / "bin/msame", root / "msame/msame")
    for name in _CANN:
        _link(HERE / "python" / name, home / "python/site-packages" / name)
    for name in _BENCH:
        _link(HERE / "python" / name, root / "pip" / name)
    return home


def _link(target: Path, link: Path) -> None:
    if not link.is_symlink():
        link.symlink_to(target)


def environment(
    root: Optional[Path] = None,
    *,
    toolkit: bool = True,
    driver: bool = True,
    ais_bench: Optional[str] = "G2",
    msame: bool = True,
    base: Optional[Mapping[str, str]] = None,
    **knobs: object,
) -> Dict[str, str]:
    """Return the environment of a shell on a simulated NPU host, after set_env.sh.

    Args:
        root: Where :func:`install` puts the host; a folder of this process by default.
        toolkit: Whether CANN is installed and its set_env.sh was sourced.
        driver: Whether the driver (and npu-smi) is installed.
        ais_bench: Generation, or None where it is not installed.
        msame: Whether msame is on PATH.
        base: The environment to start from; this process's by default.
        knobs: See the module's description; Path, int and str are all fine, None leaves a variable unset.
    """
    root = _root() if root is None else Path(root)
    home = install(root)
    found = dict(os.environ if base is None else base)
    found = {name: value for name, value in found.items() if not name.startswith("CANN_SIM_")}
    # Tools that are python3 scripts get the interpreter of the tests, with ONNX.
    paths = [root / "usr/local/bin"] * driver + [root / "msame"] * msame + [Path(sys.executable).parent]
    modules = [root / "pip"] * (ais_bench is not None)
    if toolkit:
        paths = [home / "bin", home / "compiler/ccec_compiler/bin", home / "tools/ccec_compiler/bin", *paths]
        modules = [home / "python/site-packages", home / "opp/built-in/op_impl/ai_core/tbe", *modules]
        found.update(_set_env(root, home, driver))
    _prepend(found, "PATH", paths)
    _prepend(found, "PYTHONPATH", modules)
    settings = {"driver": int(driver), "ais_bench": ais_bench, **knobs}
    found.update({f"CANN_SIM_{name.upper()}": str(value) for name, value in settings.items() if value is not None})
    return found


def _set_env(root: Path, home: Path, driver: bool) -> Dict[str, str]:
    libraries = [home / "lib64", home / "lib64/plugin/opskernel", home / "lib64/plugin/nnengine"]
    if driver:
        libraries = [root / "usr/local/Ascend/driver/lib64", *libraries]
    return {
        "ASCEND_TOOLKIT_HOME": str(home),
        "ASCEND_HOME_PATH": str(home),
        "ASCEND_AICPU_PATH": str(home),
        "ASCEND_OPP_PATH": str(home / "opp"),
        "TOOLCHAIN_HOME": str(home / "toolkit"),
        "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
    }


def _prepend(found: Dict[str, str], name: str, folders: list) -> None:
    old = found.get(name)
    whole = [*map(str, folders), *([old] if old else [])]
    if whole:
        found[name] = ":".join(whole)


def _root() -> Path:
    global _default
    if _default is None:
        _default = Path(tempfile.mkdtemp(prefix="cann_sim-"))
        atexit.register(shutil.rmtree, _default, ignore_errors=True)
    return _default
