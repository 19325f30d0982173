"""The doctor on hosts that are laid out as installations are, healthy ones and each with one fault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Dict, List, Tuple

import pytest

from clip2om.scripts.doctor.__main__ import blockers, diagnose
from clip2om.scripts.doctor.cann import compiler, installation
from clip2om.scripts.doctor.check import MISSING, OK, WRONG, Check, Patient, examine
from clip2om.scripts.doctor.npu import device, runners
from tests.cann_sim import environment, install
from tests.command import ROOT, refused, stage

_TBE = "numpy decorator sympy cffi google.protobuf attr Cython yaml pathlib2 scipy requests psutil absl"


@pytest.fixture
def healthy(tmp_path: Path) -> Patient:
    """A 310P3 host with CANN 8.0.0, driver, device nodes and all tools; a user in the group."""
    root = tmp_path / "root"
    environ = environment(root)
    for node in ("davinci0", "davinci_manager", "devmm_svm", "hisi_hdc"):
        _write(root / "dev" / node, "")
    _write(root / "etc/group", "root:x:0:\nHwHiAiUser:x:1234:somebody\n")
    # What ATC's python3 imports: empty modules are enough to be importable.
    stubs = root / "modules"
    for name in _TBE.split():
        _write(stubs / f"{name.replace('.', '/')}.py", "__version__ = '1.24.4'\n")
    python = root / "python3/python3"
    _script(python, f'PYTHONPATH={stubs} exec {sys.executable} -S "$@"')
    environ["PATH"] = f"{python.parent}:{environ['PATH']}"
    return Patient("Ascend310P3", root, environ, uid=1000, gids=(1234,))


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _script(path: Path, body: str) -> Path:
    _write(path, f"#!/bin/sh\n{body}\n").chmod(0o755)
    return path


def _checks(patient: Patient) -> Dict[str, List[Check]]:
    return {section.title: section.checks for section in diagnose(patient, patient.ascend())}


def _find(patient: Patient, title: str, name: str) -> Check:
    found = [check for check in _checks(patient)[title] if check.name == name]
    assert len(found) == 1, (name, [check.name for check in _checks(patient)[title]])
    return found[0]


def _section(patient: Patient, title: str) -> List[Check]:
    """Return the checks of one section that depend on CANN, without the rest of the examination."""
    if title == "infer":
        return runners(patient)
    host = patient.ascend()
    if title == "convert":
        return compiler(patient, host)
    installed = {"python": "3.10.12", "numpy": "1.24.4"}
    section = installation(patient, host, installed) if title == "CANN" else device(patient, host)
    return section.checks


def _sets(patient: Patient, **variables: str) -> Patient:
    return replace(patient, environ={**patient.environ, **variables})


def _lacks(patient: Patient, *names: str) -> Patient:
    return replace(patient, environ={name: value for name, value in patient.environ.items() if name not in names})


def _bin(patient: Patient, name: str, body: str) -> Patient:
    folder = _script(patient.root / "first" / name, body).parent
    return _sets(patient, PATH=f"{folder}:{patient.environ['PATH']}")


def test_healthy_host_runs_every_stage_of_an_npu(healthy: Patient) -> None:
    sections = diagnose(healthy, healthy.ascend())
    assert {name: blockers(sections, name) for name in ("convert", "infer", "postprocess")} == {
        "convert": [],
        "infer": [],
        "postprocess": [],
    }
    assert _find(healthy, "CANN", "CANN").found.startswith("8.0.0, toolkit in ")
    assert _find(healthy, "NPU", "npu-smi").found == "24.1.0.1, 1 x 310P3"
    assert _find(healthy, "NPU", "driver").found.startswith("24.1.0.1")
    assert _find(healthy, "infer", "ACL devices").found == "1, Ascend310P3"
    assert {check.state for check in _checks(healthy)["infer"]} == {OK}


def _no_set_env(patient: Patient) -> Patient:
    return _lacks(patient, "ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME")


def _no_toolkit(patient: Patient) -> Patient:
    patient = _lacks(patient, "ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME", "PYTHONPATH")
    return replace(patient, root=patient.root / "nothing", environ={**patient.environ, "PATH": "/usr/bin:/bin"})


def _gone_home(patient: Patient) -> Patient:
    return _lacks(_sets(_no_toolkit(patient), ASCEND_HOME_PATH="/nowhere/latest"), "ASCEND_TOOLKIT_HOME")


def _overwritten_python_path(patient: Patient) -> Patient:
    return _sets(patient, PYTHONPATH="/my/repo")


def _impostor(patient: Patient) -> Patient:
    _write(patient.root / "impostor/acl.py", "class ACL: pass\n")
    return _sets(patient, PYTHONPATH=f"{patient.root}/impostor:{patient.environ['PYTHONPATH']}")


def _no_library(patient: Patient) -> Patient:
    text = "libascendcl.so: cannot open shared object file: No such file or directory"
    _write(patient.root / "broken/acl.py", f"raise ImportError({text!r})\n")
    return _sets(patient, PYTHONPATH=f"{patient.root}/broken:{patient.environ['PYTHONPATH']}")


def _chatty_acl(patient: Patient) -> Patient:
    text = "import atexit\natexit.register(print, '[INFO] bye')\n"
    _write(patient.root / "chatty/acl.py", text)
    return _sets(patient, PYTHONPATH=f"{patient.root}/chatty:{patient.environ['PYTHONPATH']}")


def _crashing_acl(patient: Patient) -> Patient:
    _write(patient.root / "crash/acl.py", "import os\nos.abort()\n")
    return _sets(patient, PYTHONPATH=f"{patient.root}/crash:{patient.environ['PYTHONPATH']}")


def _no_permission(patient: Patient) -> Patient:
    return _sets(patient, CANN_SIM_PERMISSION="0")


def _stubs(patient: Patient) -> Patient:
    return _sets(patient, LD_LIBRARY_PATH=f"/cann/devlib:{patient.environ['LD_LIBRARY_PATH']}")


def _no_library_path(patient: Patient) -> Patient:
    return _sets(patient, LD_LIBRARY_PATH="/opt/lib")


def _no_nodes(patient: Patient) -> Patient:
    (patient.root / "dev/davinci0").unlink()
    (patient.root / "dev/devmm_svm").unlink()
    return patient


def _no_nodes_in_container(patient: Patient) -> Patient:
    _write(patient.root / ".dockerenv", "")
    return _no_nodes(patient)


def _not_in_group(patient: Patient) -> Patient:
    return replace(_lacks(patient, "USER"), gids=(1, 2))


def _not_yet_in_group(patient: Patient) -> Patient:
    return replace(_sets(patient, USER="somebody"), gids=(1, 2))


def _no_group(patient: Patient) -> Patient:
    (patient.root / "etc/group").unlink()
    return patient


def _old_chip(patient: Patient) -> Patient:
    return replace(patient, soc="Ascend310")


def _blanks(patient: Patient) -> Patient:
    return _sets(patient, ASCEND_RT_VISIBLE_DEVICES="0, 1")


def _far_device(patient: Patient) -> Patient:
    return _sets(patient, ASCEND_RT_VISIBLE_DEVICES="3")


def _no_device_left(patient: Patient) -> Patient:
    return _sets(patient, ASCEND_RT_VISIBLE_DEVICES="all")


def _debug_log(patient: Patient) -> Patient:
    return _sets(patient, ASCEND_GLOBAL_LOG_LEVEL="0")


def _log_to_stdout(patient: Patient) -> Patient:
    return _sets(patient, ASCEND_SLOG_PRINT_TO_STDOUT="1")


def _dumps(patient: Patient) -> Patient:
    return _sets(patient, DUMP_GE_GRAPH="2")


def _atc_without_driver(patient: Patient) -> Patient:
    text = "atc.bin: error while loading shared libraries: libascend_hal.so: cannot open shared object file"
    return _bin(patient, "atc", f"echo '{text}' >&2; exit 127")


def _atc_that_hangs(patient: Patient) -> Patient:
    return replace(_bin(patient, "atc", "exec sleep 30"), timeout_s=2.0)


def _no_decorator(patient: Patient) -> Patient:
    (patient.root / "modules/decorator.py").unlink()
    (patient.root / "modules/attr.py").unlink()
    return patient


def _broken_python3(patient: Patient) -> Patient:
    return _bin(patient, "python3", "echo no encodings; exit 1")


def _dcmi(patient: Patient) -> Patient:
    return _bin(patient, "npu-smi", "echo 'dcmi module initialize failed. ret is -8005'; exit 1")


def _dcmi_in_container(patient: Patient) -> Patient:
    _write(patient.root / ".dockerenv", "")
    return _dcmi(patient)


def _silent_smi(patient: Patient) -> Patient:
    return _bin(patient, "npu-smi", "echo hello")


def _sick(patient: Patient) -> Patient:
    return _bin(patient, "npu-smi", "echo '| 0 310P3 | Critical | NA |'; echo '| 0 0 | NA | 0 1 / 2 |'")


def _unheard_of(patient: Patient) -> Patient:
    return _bin(patient, "npu-smi", "echo '| 0 777X | OK | NA |'; echo '| 0 0 | NA | 0 1 / 2 |'")


def _no_driver_file(patient: Patient) -> Patient:
    (patient.root / "usr/local/Ascend/driver/version.info").unlink()
    return _bin(patient, "npu-smi", "exit 3")


_NPU, _BOTH, _COMPILE = ("infer",), ("convert", "infer"), ("convert",)
FAULTS = [
    (_no_set_env, "CANN", "set_env.sh", MISSING, "ascend-toolkit/set_env.sh", _BOTH),
    (_no_toolkit, "CANN", "CANN", MISSING, "install the CANN toolkit", _BOTH),
    (_gone_home, "CANN", "CANN", WRONG, "source the set_env.sh", _BOTH),
    (_overwritten_python_path, "CANN", "PYTHONPATH", WRONG, "only prepend", ()),
    (_overwritten_python_path, "infer", "import acl", MISSING, "source set_env.sh", _NPU),
    (_impostor, "infer", "import acl", WRONG, "pip uninstall acl pylibacl", _NPU),
    (_no_library, "infer", "import acl", WRONG, "LD_LIBRARY_PATH", _NPU),
    (_chatty_acl, "infer", "import acl", WRONG, "unset ASCEND_SLOG_PRINT_TO_STDOUT", _NPU),
    (_crashing_acl, "infer", "import acl", WRONG, "source set_env.sh", _NPU),
    (_no_permission, "infer", "ACL devices", WRONG, "make explain CODE=", _NPU),
    (_stubs, "CANN", "LD_LIBRARY_PATH", WRONG, "remove that folder", _NPU),
    (_no_library_path, "CANN", "LD_LIBRARY_PATH", WRONG, "set_env.sh", ()),
    (_no_nodes, "NPU", "device nodes", MISSING, "load the driver", _NPU),
    (_no_nodes_in_container, "NPU", "device nodes", MISSING, "In a container", _NPU),
    (_not_in_group, "NPU", "user", MISSING, "usermod -a -G HwHiAiUser $USER", _NPU),
    (_not_yet_in_group, "NPU", "user", WRONG, "log in again", _NPU),
    (_no_group, "NPU", "user", MISSING, "groupadd", ()),
    (_old_chip, "NPU", "SOC", WRONG, "SOC=Ascend310P3", _NPU),
    (_unheard_of, "NPU", "SOC", WRONG, "pass SOC=", ()),
    (_blanks, "NPU", "ASCEND_RT_VISIBLE_DEVICES", WRONG, "no blanks", ()),
    (_far_device, "NPU", "ASCEND_RT_VISIBLE_DEVICES", WRONG, "unset ASCEND_RT_VISIBLE_DEVICES", _NPU),
    (_no_device_left, "NPU", "ASCEND_RT_VISIBLE_DEVICES", WRONG, "ascending numbers", _NPU),
    (_debug_log, "CANN", "log level", WRONG, "unset ASCEND_GLOBAL_LOG_LEVEL", ()),
    (_log_to_stdout, "CANN", "log to stdout", WRONG, "unset ASCEND_SLOG_PRINT_TO_STDOUT", ()),
    (_dumps, "CANN", "DUMP_GE_GRAPH", WRONG, "unset DUMP_GE_GRAPH", ()),
    (_no_toolkit, "convert", "atc", MISSING, "install the CANN toolkit", _COMPILE),
    (_atc_without_driver, "convert", "atc", WRONG, "devlib:$LD_LIBRARY_PATH", _COMPILE),
    (_atc_that_hangs, "convert", "atc", WRONG, "source set_env.sh", _COMPILE),
    (_no_decorator, "convert", "modules of ATC", MISSING, "pip install decorator attrs", _COMPILE),
    (_broken_python3, "convert", "ATC's python3", WRONG, "repair python3", _COMPILE),
    (_dcmi, "NPU", "npu-smi", WRONG, "usermod", _NPU),
    (_dcmi_in_container, "NPU", "npu-smi", WRONG, "In a container", _NPU),
    (_silent_smi, "NPU", "npu-smi", WRONG, "npu-smi info by hand", _NPU),
    (_sick, "NPU", "health", WRONG, "npu-smi info -t health -i 0", ()),
    (_no_driver_file, "NPU", "driver", MISSING, "install driver and firmware", ()),
    (_no_toolkit, "NPU", "npu-smi", MISSING, "PATH", ()),
    (_no_toolkit, "infer", "msame", MISSING, "optional", ()),
    (_no_toolkit, "infer", "ais_bench", MISSING, "optional", ()),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault[0].__name__}-{fault[2].replace(' ', '_')}")
def test_each_fault_is_found_with_its_remedy(healthy: Patient, fault: tuple) -> None:
    break_it, title, name, state, todo, blocks = fault
    (check,) = [check for check in _section(break_it(healthy), title) if check.name == name]
    assert check.state == state, check
    assert todo in check.todo, check
    assert check.blocks == blocks, check


def test_hanging_program_is_given_up(healthy: Patient) -> None:
    patient = replace(_bin(healthy, "npu-smi", "exec sleep 30"), timeout_s=1.0)
    start = time.monotonic()
    assert "no answer within 1 s" in (patient.ascend().npu_smi or Check("", "", "")).trouble  # type: ignore[union-attr]
    assert time.monotonic() - start < 10


def test_root_needs_no_group(healthy: Patient) -> None:
    assert _find(replace(healthy, uid=0, gids=()), "NPU", "user").found == "root"


def test_device_node_that_cannot_be_opened(healthy: Patient) -> None:
    """A link that leads nowhere stands for a node without permission, which root would not notice."""
    node = healthy.root / "dev/davinci0"
    node.unlink()
    node.symlink_to("gone")
    check = _find(healthy, "NPU", "device nodes")
    assert (check.state, check.blocks) == (WRONG, _NPU)
    assert "/dev/davinci0 cannot be opened" in check.found


def test_host_that_only_compiles(healthy: Patient) -> None:
    """Toolkit, no driver: convert runs with devlib, infer does not."""
    patient = replace(healthy, root=healthy.root / "bare", environ=dict(environment(healthy.root, driver=False)))
    python = healthy.root / "python3"
    patient = _sets(patient, PATH=f"{python}:{patient.environ['PATH']}", LD_LIBRARY_PATH="/cann/x86_64-linux/devlib")
    sections = diagnose(patient, patient.ascend())
    assert blockers(sections, "convert") == []
    assert "device nodes" in blockers(sections, "infer")
    stub = [check for section in sections for check in section.checks if "stub" in check.found]
    assert stub == []


def test_cpu_target_is_not_held_up_by_ascend(healthy: Patient) -> None:
    patient = replace(_no_nodes(healthy), soc="cpu")
    sections = diagnose(patient, patient.ascend())
    assert any(check.name == "device nodes" and check.state == MISSING for part in sections for check in part.checks)
    assert set(blockers(sections, "infer")) <= {"CPU engine"}
    assert [check.name for check in _checks(patient)["infer"]].count("CPU engine") == 1


def test_cpu_host_shows_nothing_of_ascend(tmp_path: Path) -> None:
    patient = Patient("cpu", tmp_path, {"PATH": "/usr/bin:/bin"})
    titles = {"host", "export", "preprocess", "convert", "infer", "postprocess", "frameworks"}
    assert set(_checks(patient)) == titles


def test_missing_and_old_libraries(tmp_path: Path) -> None:
    """A Python 3.8 with an old NumPy and nothing else."""
    python = tmp_path / "python"
    _script(python, """echo '{"python": "3.8.10", "numpy": "1.19.5"}'""")
    patient = Patient("cpu", tmp_path, {"PATH": "/usr/bin:/bin"}, python=str(python))
    python_check = _find(patient, "infer", "Python")
    assert (python_check.state, python_check.blocks) == (WRONG, ("infer",))
    numpy = _find(patient, "postprocess", "numpy")
    assert (numpy.state, "1.21 or newer" in numpy.found) == (WRONG, True)
    assert "requirements/core.txt" in numpy.todo
    assert _find(patient, "infer", "tomli").state == MISSING
    assert _find(patient, "preprocess", "av").blocks == ()
    assert _find(patient, "infer", "CPU engine").blocks == ("infer",)
    assert "another machine" in _find(patient, "export", "torch").todo


def test_interpreter_that_does_not_run(tmp_path: Path) -> None:
    patient = Patient("cpu", tmp_path, {"PATH": "/usr/bin:/bin"}, python=str(tmp_path / "none"))
    check = _find(patient, "infer", "Python")
    assert (check.state, check.blocks) == (WRONG, ("infer",))


def test_little_memory(tmp_path: Path) -> None:
    _write(tmp_path / "proc/meminfo", "MemTotal: 9 kB\nMemAvailable:   1000000 kB\n")
    check = _find(Patient("cpu", tmp_path, {"PATH": "/usr/bin:/bin"}), "host", "memory")
    assert (check.state, check.found) == (WRONG, "1.0 GB available")


def test_failing_check_is_a_line() -> None:
    def look() -> List[Check]:
        raise ZeroDivisionError("division by zero")

    (check,) = examine("x", [look]).checks
    assert (check.state, check.name) == (WRONG, "look")
    assert "division by zero" in check.found


_PACKAGES = [
    ("8.5.0", "usr/local/Ascend/cann", "toolkit", ["8.5.0"]),
    ("8.0.RC2", "usr/local/Ascend/ascend-toolkit/latest", "toolkit", []),
    ("7.0.0", "usr/local/Ascend/nnrt/latest", "nnrt", []),
]


@pytest.mark.parametrize(("version", "home", "package", "ops"), _PACKAGES)
def test_layouts_of_cann(tmp_path: Path, version: str, home: str, package: str, ops: List[str]) -> None:
    from clip2om.pipeline.ascend_host import find_cann

    name = f"Ascend-cann-{package}"
    folder = tmp_path / home / "x86_64-linux"
    _write(folder / f"ascend_{package}_install.info", f"package_name={name}\nversion={version}\narch=x86_64\n")
    for other in ops:
        _write(folder / "ascend_ops_install.info", f"package_name=Ascend-cann-310p-ops\nversion={other}\n")
    cann = find_cann(tmp_path, {})
    assert cann is not None
    assert (cann.version, cann.package, cann.ops, cann.sourced) == (version, package, ops, False)


_VERSION_FILES = [
    ("version.cfg", "# version: 1.0\nruntime_running_version=[7.3.0.1.231:8.0.RC2]\n", "8.0.RC2"),
    ("version.cfg", "toolkit_running_version=[8.5.2]\n", "8.5.2"),
    ("version.info", "Version=7.6.0.1.220\nversion_dir=8.1.RC1\n", "8.1.RC1"),
    ("compiler/version.info", "Version=7.6.0.1.220\nversion_dir=8.1.RC1\n", "8.1.RC1"),
    ("nothing", "", ""),
]


@pytest.mark.parametrize(("name", "text", "version"), _VERSION_FILES)
def test_version_files_of_cann(tmp_path: Path, name: str, text: str, version: str) -> None:
    from clip2om.pipeline.ascend_host import find_cann

    home = tmp_path / "Ascend/ascend-toolkit/latest"
    _write(home / name, text)
    cann = find_cann(tmp_path / "root", {"HOME": str(tmp_path)})
    assert cann is not None
    assert cann.version == version


def test_version_from_the_folder_that_a_link_leads_to(tmp_path: Path) -> None:
    from clip2om.pipeline.ascend_host import find_cann

    (tmp_path / "usr/local/Ascend/cann-8.5.0").mkdir(parents=True)
    (tmp_path / "usr/local/Ascend/cann").symlink_to("cann-8.5.0")
    cann = find_cann(tmp_path, {})
    assert cann is not None
    assert (cann.version, cann.release) == ("8.5.0", (8, 5))


# The installation guides' table.
@pytest.mark.parametrize(
    ("version", "newest"),
    [
        ("6.0.1", (3, 9)),
        ("7.0.0", (3, 10)),
        ("8.0.RC2", (3, 10)),
        ("8.0.RC2.alpha001", (3, 10)),
        ("8.0.0", (3, 11)),
        ("8.3.RC1", (3, 11)),
        ("8.5.0", (3, 13)),
        ("9.0.0-beta.1", (3, 13)),
        ("9.1.0", (3, 14)),
    ],
)
def test_newest_python_of_each_cann(version: str, newest: Tuple[int, int]) -> None:
    from clip2om.scripts.doctor.cann import supported

    row = supported(version)
    assert row is not None
    assert row[1] == newest


def test_unknown_cann_version_is_not_judged() -> None:
    from clip2om.scripts.doctor.cann import supported

    assert supported("") is None
    assert supported("4.0.0") is None


def test_python_and_numpy_outside_the_range_of_cann(healthy: Patient) -> None:
    python = _script(healthy.root / "new/python", """echo '{"python": "3.14.0", "numpy": "2.3.1"}'""")
    patient = replace(healthy, python=str(python))
    check = _find(patient, "CANN", "Python for CANN")
    assert (check.state, check.blocks) == (WRONG, ())
    assert "3.7 to 3.11" in check.found
    check = _find(patient, "CANN", "NumPy for CANN")
    assert check.state == WRONG
    assert check.todo == 'pip install "numpy>=1.19.2,<1.25"'


def test_ops_package_is_needed_from_85_on(tmp_path: Path) -> None:
    info = tmp_path / "usr/local/Ascend/cann/x86_64-linux/ascend_toolkit_install.info"
    _write(info, "package_name=Ascend-cann-toolkit\nversion=8.5.0\n")
    patient = Patient("Ascend310P3", tmp_path, {"PATH": "/usr/bin:/bin"})
    check = _find(patient, "CANN", "ops package")
    assert (check.state, check.blocks) == (MISSING, ("convert",))
    ops = info.with_name("ascend_ops_install.info")
    _write(ops, "package_name=Ascend-cann-310p-ops\nversion=8.5.1\n")
    assert _find(patient, "CANN", "ops package").state == WRONG
    _write(ops, "package_name=Ascend-cann-310p-ops\nversion=8.5.0\n")
    assert _find(patient, "CANN", "ops package").state == OK
    foreign = _find(replace(patient, soc="Ascend910B3"), "CANN", "ops package")
    assert (foreign.state, foreign.blocks) == (WRONG, ("convert",))
    assert "8.5.0 of 310p; Ascend910B3 needs that of 910b" in foreign.found
    assert "Ascend-cann-910b-ops_8.5.0" in foreign.todo


def test_a_name_that_no_cann_has_is_said(tmp_path: Path) -> None:
    info = tmp_path / "usr/local/Ascend/cann/x86_64-linux/ascend_toolkit_install.info"
    _write(info, "package_name=Ascend-cann-toolkit\nversion=9.1.0\n")
    _write(info.parent / "data/platform_config/Ascend310P3.ini", "")
    patient = Patient("Ascend310", tmp_path, {"PATH": "/usr/bin:/bin"})
    check = _find(patient, "CANN", "SOC name")
    assert check.state == WRONG and "it knows Ascend310P3" in check.found


def test_an_ais_bench_that_cannot_be_started_is_not_ok(healthy: Patient) -> None:
    module = healthy.root / "shadow/ais_bench"
    _write(module / "__init__.py", "")
    _write(module / "__main__.py", "import tqdm_is_missing")
    patient = _sets(healthy, PYTHONPATH=f"{module.parent}:{healthy.environ['PYTHONPATH']}")
    (check,) = [check for check in runners(patient) if check.name == "ais_bench"]
    assert check.state == WRONG and "tqdm_is_missing" in check.found
    assert "pip install tqdm_is_missing" in check.todo


def test_nnrt_has_no_atc(tmp_path: Path) -> None:
    (tmp_path / "usr/local/Ascend/nnrt/latest").mkdir(parents=True)
    patient = Patient("Ascend310P3", tmp_path, {"PATH": "/bin"})
    assert "convert where the toolkit is" in _find(patient, "convert", "atc").todo


def test_visible_devices_stop_at_the_first_bad_entry() -> None:
    from clip2om.scripts.doctor.npu import visible

    cases = {"0,1": [0, 1], "1, 2": [1], "3,1": [3], "": [], "0,x,2": [0], "1,1": [1]}
    assert {text: visible(text) for text in cases} == cases


# --- the command ---------------------------------------------------------------------------------------------------


def test_command_on_this_host(tmp_path: Path) -> None:
    record = tmp_path / "here.json"
    done = stage("scripts.doctor", "--soc", "cpu", "--stages", "postprocess", "--json", record, env=_no_ascend())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "postprocess  can run" in done.stdout
    payload = json.loads(record.read_text())
    assert payload["kind"] == "clip2om.doctor"
    assert payload["stages"]["postprocess"] == []
    assert payload["host"]["python"] == ".".join(map(str, sys.version_info[:3]))


def _no_ascend() -> Dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ASCEND")}


def test_command_says_what_the_soc_needs_and_exits_with_2() -> None:
    done = stage("scripts.doctor", "--soc", "Ascend310P3", env=_no_ascend())
    assert done.returncode == 2
    assert "convert      cannot run (CANN, atc)" in done.stdout
    assert "missing  CANN " in done.stdout
    assert stage("scripts.doctor", "--soc", "Ascend310P3", "--stages", "postprocess", env=_no_ascend()).returncode == 0


def test_command_under_the_simulator_takes_the_soc_from_npu_smi() -> None:
    done = stage("scripts.doctor", "--stages", "postprocess", env=environment(soc="Ascend310B4"))
    assert done.returncode == 0, done.stderr
    assert "for Ascend310B4 (from npu-smi):" in done.stdout
    assert "import acl " in done.stdout


def test_command_with_a_failing_npu_smi_exits_with_2() -> None:
    done = stage("scripts.doctor", env=environment(permission=0))
    assert done.returncode == 2
    assert "for Ascend (npu-smi fails):" in done.stdout
    assert "-8005" in done.stdout


def test_command_refuses_unknown_words() -> None:
    refused(stage("scripts.doctor", "--soc", "Ascend31OP9"), "Ascend31OP9", "--soc")
    refused(stage("scripts.doctor", "--stages", "fly"), "'fly' is not a stage", "postprocess")


def test_help_needs_nothing() -> None:
    done = subprocess.run([sys.executable, "-S", "-m", "scripts.doctor", "--help"], cwd=ROOT, capture_output=True)
    assert done.returncode == 0
    assert b"--compare" in done.stdout


# --- comparing hosts -----------------------------------------------------------------------------------------------


def _record(path: Path, **host: object) -> Path:
    path.write_text(json.dumps({"kind": "clip2om.scores", "version": 1, "host": host}))
    return path


def test_compare_two_records(tmp_path: Path) -> None:
    chips = {"cann": {"version": "8.0.0"}, "driver": "24.1.rc3", "chips": ["310P3"]}
    mine = _record(tmp_path / "a.json", cpu="A", cores=4, memory_bytes=8_000_000_000, ascend=chips, python="3.9.2")
    other = {"cann": {"version": "8.1.RC1"}, "chips": ["310P3", "310P3"]}
    theirs = _record(tmp_path / "b.json", cpu="A", cores=8, memory_bytes=16_000_000_000, ascend=other, system="L")
    done = stage("scripts.doctor", "--compare", mine, theirs)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line}
    assert rows["cores"] == ["4", "8"]
    assert rows["memory_bytes"] == ["8.0", "GB", "16.0", "GB"]
    assert rows["ascend.cann.version"] == ["8.0.0", "8.1.RC1"]
    assert rows["ascend.driver"] == ["24.1.rc3", "-"]
    assert rows["ascend.chips"] == ["310P3", "310P3", "310P3"]
    assert "5 facts differ, 1 are equal" in done.stdout
    assert "one side only: python, system" in done.stdout


def test_compare_with_a_host_that_has_no_npu(tmp_path: Path) -> None:
    mine = _record(tmp_path / "a.json", ascend={"driver": "24.1"}, cores=1)
    theirs = _record(tmp_path / "b.json", ascend={}, cores=1)
    assert "ascend.driver" in stage("scripts.doctor", "--compare", mine, theirs).stdout.splitlines()[2]


def test_compare_with_this_host(tmp_path: Path) -> None:
    here = tmp_path / "here.json"
    assert stage("scripts.doctor", "--soc", "cpu", "--json", here, env=_no_ascend()).stderr == ""
    done = stage("scripts.doctor", "--compare", here, env=_no_ascend())
    assert done.stdout.startswith("0 facts differ")
    done = stage("scripts.doctor", "--compare", here, env=environment())
    assert done.returncode == 0, done.stderr
    assert "ascend.cann.version" in done.stdout
    assert "8.0.0" in done.stdout


def test_compare_refuses_what_is_no_record(tmp_path: Path) -> None:
    refused(stage("scripts.doctor", "--compare", tmp_path / "none.json"), "none.json", "no such file")
    empty = tmp_path / "empty.json"
    empty.write_text("[]")
    refused(stage("scripts.doctor", "--compare", empty), "empty.json", "no facts about a host", "--json")
    refused(stage("scripts.doctor", "--compare", empty, empty, empty), "3 records given", "--compare")


# --- the facts of a record -----------------------------------------------------------------------------------------

_FACTS = "import json, time; from clip2om.pipeline import ascend_host as a; t = time.perf_counter(); f = a.facts(); "


def test_facts_for_a_record() -> None:
    code = _FACTS + "print(json.dumps(f))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment(devices=2)
    )
    found = json.loads(done.stdout)
    assert found["cann"]["version"] == "8.0.0"
    assert found["chips"] == ["310P3", "310P3"]
    assert found["driver"] == "24.1.0.1"
    assert set(found["packages"]) == {"ais_bench", "aclruntime"}
    assert "ASCEND_HOME_PATH" in found["variables"]


def test_facts_of_a_host_without_npu_are_empty_and_quick() -> None:
    code = _FACTS + "print(json.dumps([f, time.perf_counter() - t]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=_no_ascend())
    found, seconds = json.loads(done.stdout)
    assert found == {}
    assert seconds < 0.05


def test_probe_leaves_the_host_alone(tmp_path: Path) -> None:
    install(tmp_path)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    patient = Patient("Ascend310P3", tmp_path, environment(tmp_path))
    diagnose(patient, patient.ascend())
    assert [
        path for path in sorted(map(str, tmp_path.rglob("*"))) if path not in before and "pycache" not in path
    ] == []
