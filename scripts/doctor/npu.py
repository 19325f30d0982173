"""Checks of the device side: driver, npu-smi, device nodes, user group, pyACL, and the tools that run an .om."""

from __future__ import annotations

import functools
import json
import os
import re
from typing import Dict, List, Optional, Tuple

from clip2om.pipeline import ascend_codes
from clip2om.pipeline import soc as socs
from clip2om.pipeline.ascend_host import AscendHost, platforms
from clip2om.pipeline.npu_smi import Listing, soc_version
from clip2om.scripts.doctor.check import MISSING, OK, WRONG, Check, Patient, Section, examine, last_line, which

_GROUP = "HwHiAiUser"
_INFER = ("infer",)
_CONTAINER = "start the container with the NPU's devices and driver: docs/npu.md, In a container"
_ACL = (
    "import json\nimport acl\nfound = {'file': getattr(acl, '__file__', '') or '', 'rt': hasattr(acl, 'rt')}\n"
    "if found['rt']:\n"
    "    found['init'] = acl.init()\n"
    "if found.get('init') == 0:\n"
    "    found['devices'], found['count'] = acl.rt.get_device_count()\n"
    "    found['soc'] = acl.get_soc_name() if hasattr(acl, 'get_soc_name') else None\n"
    "    acl.finalize()\n"
    "print(json.dumps(found))"
)
# Its help is neither cut to the width of a terminal nor to the letters of a locale.
_PLAIN = {"COLUMNS": "1000", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
_TOOLS = (
    "import importlib.util, json\nfrom importlib import metadata\nfound = {}\n"
    "for name in ('ais_bench', 'aclruntime'):\n"
    "    if importlib.util.find_spec(name):\n"
    "        try:\n            found[name] = metadata.version(name)\n"
    "        except metadata.PackageNotFoundError:\n            found[name] = 'unknown version'\n"
    "print(json.dumps(found))"
)


def device(patient: Patient, host: AscendHost) -> Section:
    """Return the checks of driver, chips, device nodes and user."""
    probes = (_driver, _smi, _nodes, _user, _visible)
    return examine("NPU", [functools.partial(probe, patient, host) for probe in probes])


def runners(patient: Patient) -> List[Check]:
    """Return the checks of pyACL, and of ais_bench and msame, which are only needed by the engines of that name."""
    return [*_acl(patient), *_tools(patient)]


def _in_container(patient: Patient) -> bool:
    marks = ("/.dockerenv", "/run/.containerenv")
    return any(os.path.exists(patient.root / mark.lstrip("/")) for mark in marks)


def _driver(patient: Patient, host: AscendHost) -> List[Check]:
    version = host.driver or (host.npu_smi.driver if host.npu_smi else "")
    where = "a container" if _in_container(patient) else "no container"
    if version:
        return [Check("driver", OK, f"{version}, {where}")]
    todo = _CONTAINER if _in_container(patient) else "install driver and firmware of the card as root, then reboot"
    return [Check("driver", MISSING, f"no /usr/local/Ascend/driver/version.info; {where}", todo)]


def _smi(patient: Patient, host: AscendHost) -> List[Check]:
    listing = host.npu_smi
    if listing is None:
        todo = (
            _CONTAINER
            if _in_container(patient)
            else "it comes with the driver: add /usr/local/bin or /usr/local/sbin to PATH"
        )
        return [Check("npu-smi", MISSING, "not on PATH, so SOC=auto means cpu", todo)]
    if listing.trouble:
        return [Check("npu-smi", WRONG, listing.trouble, _smi_todo(patient, listing), _INFER)]
    found = f"{listing.tool}, {_chips(listing)}"
    return [Check("npu-smi", OK, found), *_health(listing), _chip(patient, host, listing)]


def _smi_todo(patient: Patient, listing: Listing) -> str:
    if "-8005" in listing.trouble and _in_container(patient):
        return _CONTAINER
    if "-8005" in listing.trouble:
        return f"usermod -a -G {_GROUP} $USER and log in again; else check that the driver is loaded"
    return "run npu-smi info by hand"


def _chips(listing: Listing) -> str:
    counts: Dict[str, int] = {}
    for chip in listing.chips:
        counts[chip.name] = counts.get(chip.name, 0) + 1
    return ", ".join(f"{count} x {name}" for name, count in counts.items())


def _health(listing: Listing) -> List[Check]:
    sick = [chip for chip in listing.chips if chip.health != "OK" and not chip.name.startswith("310B")]
    if not sick:
        return []
    found = ", ".join(f"card {chip.npu} chip {chip.chip}: {chip.health}" for chip in sick)
    return [Check("health", WRONG, found, f"npu-smi info -t health -i {sick[0].npu}")]


def _chip(patient: Patient, host: AscendHost, listing: Listing) -> Check:
    names = list(dict.fromkeys(soc_version(chip, patient.environ) for chip in listing.chips))
    found = f"the chip is {' and '.join(names)}"
    cann = host.cann
    doubt = socs.doubt(names[0], platforms(cann.home) if cann else (), cann.release if cann else (0, 0))
    if doubt:
        todo = f"compare with npu-smi info and this CANN; else pass SOC=, one of: {', '.join(socs.ASCEND)}"
        return Check("SOC", WRONG, doubt, todo)
    if patient.soc == socs.CPU or re.sub(r"Vir\d+$", "", patient.soc) in names:
        return Check("SOC", OK, found)
    return Check("SOC", WRONG, f"{found}, which refuses a model for {patient.soc}", f"SOC={names[0]}", _INFER)


def _nodes(patient: Patient, host: AscendHost) -> List[Check]:
    chips = [node for node in host.nodes if node.startswith("/dev/davinci") and node[len("/dev/davinci") :].isdigit()]
    needed = {"/dev/davinci_manager": ("/dev/davinci_manager",), "/dev/devmm_svm": ("/dev/devmm_svm", "/dev/svm0")}
    absent = [name for name, forms in needed.items() if not any(form in host.nodes for form in forms)]
    absent += [] if chips else ["/dev/davinci0"]
    if absent:
        todo = _CONTAINER if _in_container(patient) else "install or load the driver, then reboot"
        return [Check("device nodes", MISSING, f"no {', '.join(sorted(absent))}", todo, _INFER)]
    closed = [node for node in host.nodes if not os.access(patient.root / node.lstrip("/"), os.R_OK | os.W_OK)]
    if closed:
        found = f"{', '.join(closed)} cannot be opened by this user"
        return [Check("device nodes", WRONG, found, f"usermod -a -G {_GROUP} $USER and log in again", _INFER)]
    return [Check("device nodes", OK, " ".join(host.nodes))]


def _user(patient: Patient, host: AscendHost) -> List[Check]:
    if patient.uid == 0:
        return [Check("user", OK, "root")]
    group = _group(patient)
    if group is None:
        return [Check("user", MISSING, f"there is no group {_GROUP} here", f"groupadd {_GROUP} before the driver")]
    gid, members = group
    if gid in patient.gids:
        return [Check("user", OK, f"in group {_GROUP}")]
    name = patient.environ.get("USER", "")
    if name and name in members:
        return [Check("user", WRONG, f"in group {_GROUP}, but not in this session", "log in again", _INFER)]
    return [Check("user", MISSING, f"not in group {_GROUP}", f"usermod -a -G {_GROUP} {name or '$USER'}", _INFER)]


def _group(patient: Patient) -> Optional[Tuple[int, List[str]]]:
    try:
        lines = (patient.root / "etc/group").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split(":")
        if fields[0] == _GROUP and len(fields) > 3 and fields[2].isdigit():
            return int(fields[2]), fields[3].split(",")
    return None


def visible(text: str) -> List[int]:
    """Return the devices that ASCEND_RT_VISIBLE_DEVICES leaves: reading stops at the first bad entry (documented)."""
    kept: List[int] = []
    for token in text.split(","):
        if not token.isdigit() or (kept and int(token) <= kept[-1]):
            break
        kept.append(int(token))
    return kept


def _visible(patient: Patient, host: AscendHost) -> List[Check]:
    name = "ASCEND_RT_VISIBLE_DEVICES"
    text = patient.environ.get(name)
    if text is None:
        return []
    kept = visible(text)
    good = ",".join(map(str, kept))
    beyond = [device for device in kept if host.chips and device >= len(host.chips)]
    if beyond:
        found = f"{text!r} names device {beyond[0]}, this host has {len(host.chips)}"
        return [Check(name, WRONG, found, f"unset {name}", _INFER)]
    if good != text:
        todo = f"ascending numbers, commas, no blanks: export {name}=0,1"
        return [Check(name, WRONG, f"{text!r} leaves only {good or 'nothing'}", todo, () if kept else _INFER)]
    return [Check(name, OK, f"{text}; inside the process they count from 0")]


def _acl(patient: Patient) -> List[Check]:
    code, text = patient.run([patient.python, "-c", _ACL])
    line = last_line(text)
    if code != 0:
        return [_no_acl(code, line)]
    try:
        found = json.loads(line)
    except ValueError:
        return [Check("import acl", WRONG, f"answered {line!r}", "unset ASCEND_SLOG_PRINT_TO_STDOUT", _INFER)]
    if not found["rt"]:
        todo = f"{patient.python} -m pip uninstall acl pylibacl, then source set_env.sh"
        return [Check("import acl", WRONG, f"{found['file']} is another project of that name", todo, _INFER)]
    return [Check("import acl", OK, found["file"] or "built in"), _devices(found)]


def _no_acl(code: int, line: str) -> Check:
    if "No module named 'acl'" in line:
        todo = "source set_env.sh, and only prepend to PYTHONPATH"
        return Check("import acl", MISSING, "no module named acl", todo, _INFER)
    if "cannot open shared object file" in line:
        return Check("import acl", WRONG, line, "source set_env.sh: LD_LIBRARY_PATH lacks CANN or the driver", _INFER)
    return Check("import acl", WRONG, f"ended with {code} ({line})", "source set_env.sh of the installed CANN", _INFER)


def _devices(found: Dict[str, object]) -> Check:
    """Say what ACL itself sees: it is what infer gets, whatever npu-smi says."""
    code = found["init"] or found["count"]
    if code:
        call = "acl.init()" if found["init"] else "acl.rt.get_device_count()"
        known = ascend_codes.find(str(code))
        named = f" ({known.name})" if known and known.name else ""
        todo = f"make explain CODE={code}; often the driver, the group {_GROUP} or the container's --device options"
        return Check("ACL devices", WRONG, f"{call} returns {code}{named}", todo, _INFER)
    if not found["devices"]:
        return Check("ACL devices", MISSING, "ACL sees no device", "unset ASCEND_RT_VISIBLE_DEVICES", _INFER)
    named = f", {found['soc']}" if found["soc"] else ""
    return Check("ACL devices", OK, f"{found['devices']}{named}")


def _tools(patient: Patient) -> List[Check]:
    code, text = patient.run([patient.python, "-c", _TOOLS])
    try:
        found = json.loads(last_line(text)) if code == 0 else {}
    except ValueError:
        found = {}
    checks = []
    for name in ("ais_bench", "aclruntime"):
        if name == "ais_bench" and name in found:
            checks.append(_started(patient, found[name]))
        elif name in found:
            checks.append(Check(name, OK, found[name]))
        else:
            todo = f"optional, for ENGINE=ais_bench: pip install the {name} wheel of Ascend's tools"
            checks.append(Check(name, MISSING, "not installed", todo))
    path = which(patient, "msame")
    if path:
        return [*checks, Check("msame", OK, path)]
    todo = "optional, for ENGINE=msame: build it from Ascend's tools and put it on PATH"
    return [*checks, Check("msame", MISSING, "not on PATH", todo)]


def _started(patient: Patient, version: str) -> Check:
    """Start ais_bench once, as infer does: a module that it imports may be missing."""
    from clip2om.infer.engines.ais_bench_help import Dialect, remedy

    code, text = patient.run([patient.python, "-m", "ais_bench", "--help"], _PLAIN)
    if code == 0 and Dialect.of(text).knows("model"):
        return Check("ais_bench", OK, version)
    return Check("ais_bench", WRONG, f"{version} cannot be started ({last_line(text)})", remedy(text, patient.python))
