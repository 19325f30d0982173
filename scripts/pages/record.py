"""What was run, in words: facts, digests, versions and commands, from the records of the stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from clip2om.pipeline.card import Card
from clip2om.pipeline.command import shell
from clip2om.pipeline.console import size
from clip2om.pipeline.typed import to_dict
from clip2om.pipeline.wording import local
from clip2om.scripts.pages.run import Run
from clip2om.scripts.pages.texts import Text, say

Row = Tuple[Text, object]


def facts(run: Run, card: Optional[Card]) -> List[Row]:
    """Return what was run, on what and how it was counted; what no record tells is left out."""
    origin, rules = run.accuracy.origin, run.accuracy.rules
    title = f"{origin.card} ({card.title})" if card and card.title else origin.card
    compiled, manifest = run.compiled, run.manifest
    engine = " ".join(part for part in (origin.engine, origin.engine_version) if part)
    absent = say("absent_ignored" if rules.ignore else "absent_wrong")
    counted = ", ".join(f"{name}={value}" for name, value in to_dict(rules).items() if name != "ignore")
    rows = [
        (say("model"), title),
        (say("dataset"), f"{origin.dataset}, {origin.subset}"),
        (Text("SOC", "SOC"), origin.soc or (compiled.soc if compiled else None)),
        (say("engine"), engine or None),
        (say("device"), origin.device),
        (say("precision"), origin.precision),
        (say("batch"), compiled.batch if compiled else None),
        (say("compiled"), f"{compiled.format}, {compiled.precision}, {compiled.tool}" if compiled else None),
        (say("input"), str(manifest.tensor) if manifest else None),
        (say("layout"), origin.layout),
        (say("transform"), _transform(run)),
        (say("rules"), Text(f"{counted}. {absent.en}", f"{counted}。{absent.zh}")),
        (say("score_files"), origin.format),
        (say("parity"), _parity(run)),
        (say("host"), _host(run)),
    ]
    return [(label, value) for label, value in rows if value is not None]


def _transform(run: Run) -> Optional[str]:
    if run.manifest is None:
        return None
    found = run.manifest.fingerprint
    side = f"{found.rule} {found.resize}" + (f"x{found.long}" if found.long else "")
    mean, std = (", ".join(f"{value:g}" for value in values) for values in (found.mean, found.std))
    centre = f"mean volume {found.mean_volume[:12]}" if found.mean_volume else f"mean ({mean}), std ({std})"
    clips = f"stride {found.stride}" if found.sampler == "windows" else f"{found.count} clips, start {found.start}"
    clips += f", interval {found.interval}" if found.interval > 1 else ""
    clips += f", at {found.rate:g} frames/s" if found.rate else ""
    # Not the protocol's: whoever reads the page is to know.
    clips += f"; {found.views} views of each video (--views)" if found.views else ""
    return (
        f"{found.decoder}; resize {side} {found.kernel}, crop {found.crop} {found.size}, {found.color}, "
        f"scale {found.scale:g}, {centre}; {found.sampler}, {found.frames} frames, {clips}"
    )


def _parity(run: Run) -> Optional[Text]:
    if run.graph is None:
        return None
    found = run.graph.parity
    figures = {"apart": f"{found.max_abs_diff:.2e}", "cosine": f"{found.cosine:.9f}"}
    return say("parity_found", reference=found.reference, clips=found.clips, **figures)


def _host(run: Run) -> Optional[str]:
    host = run.summary.host if run.summary else {}
    if not {"cpu", "cores", "memory_bytes", "system"} <= set(host):
        return None
    npu = (host.get("ascend") or {}).get("chips") or []
    chips = f"; NPU {' '.join(map(str, npu))}" if npu else ""
    return f"{host['cpu']}, {host['cores']} cores, {size(host['memory_bytes'])}, {host['system']}{chips}"


def digests(run: Run) -> List[Tuple[Text, str]]:
    """Return the SHA-256 of everything that led to the results, as far as it is recorded."""
    origin, graph = run.accuracy.origin, run.graph
    rows = [
        (say("checkpoint"), graph.checkpoint_sha256 if graph else None),
        (say("graph"), graph.sha256 if graph else run.compiled.graph_sha256 if run.compiled else None),
        (say("compiled"), origin.model_sha256),
        (say("annotation"), origin.annotation_sha256),
        (say("manifest"), origin.manifest_sha256),
        (say("fingerprint"), origin.fingerprint),
        (say("score_files"), origin.scores_sha256),
    ]
    return [(label, value) for label, value in rows if value]


def versions(run: Run) -> List[Tuple[str, str]]:
    """Return stage and tool, and the version of each."""
    rows: List[Tuple[str, str]] = []
    host = run.summary.host if run.summary else {}
    for stage, found in (
        ("export", run.graph.versions if run.graph else {}),
        ("preprocess", run.manifest.versions if run.manifest else {}),
        ("infer", {**({"Python": host["python"]} if "python" in host else {}), **(host.get("versions") or {})}),
    ):
        rows += [(f"{stage}: {name}", str(version)) for name, version in found.items()]
    if run.compiled:
        rows.append(("convert", run.compiled.tool))
    cann = ((host.get("ascend") or {}).get("cann") or {}).get("version")
    return [*rows, *([("CANN", str(cann))] if cann else [])]


def commands(run: Run) -> List[str]:
    """Return one command per stage: the recorded one, or one that the records lead to."""
    origin, rules = run.accuracy.origin, run.accuracy.rules
    card, folders = origin.card, run.folders
    lines = []
    if run.graph:
        batch = run.graph.inputs[0].shape[0]
        how = ["--dynamic-batch"] if batch == -1 else ["--batch", str(batch)]
        checkpoint = ["--checkpoint", _path(Path(run.graph.checkpoint))]
        lines.append(_python("export", card, *how, *checkpoint, "--output", _path(folders.graph)))
    if run.manifest:
        tensor, cap = run.manifest.tensor, run.manifest.fingerprint.max_clips
        how = ["--batch", str(tensor.batch), "--layout", origin.layout, "--dtype", tensor.dtype]
        how += ["--subset", run.manifest.subset, "--max-clips", str(cap)]
        lines.append(_python("preprocess", card, *how, "--output", _path(folders.batches)))
    if run.compiled:
        lines.append(run.compiled.command)
        lines += [f"# {run.compiled.atc_command}"] if run.compiled.atc_command else []
    if run.summary:
        where = {"--compiled": folders.compiled, "--batches": folders.batches, "--output": folders.scores}
        how = ["--engine", run.summary.engine, *_options(where), *_engine_options(run.summary.options)]
        lines.append(_python("infer", card, *how))
    where = {"--batches": folders.batches, "--scores": folders.scores, "--output": folders.results}
    settings = {name: value for name, value in to_dict(rules).items() if name not in ("k", "ignore")}
    how = ["-k", str(rules.k), *(["--ignore"] if rules.ignore else [])]
    how += [word for name, value in settings.items() if value for word in (f"--{name.replace('_', '-')}", str(value))]
    lines.append(_python("postprocess", card, *_options(where), *how))
    lines.append(_python("scripts.report", card, "--results", _path(folders.results)))
    return lines


def _engine_options(found: Dict[str, Any]) -> List[str]:
    """Return the options that change numbers or devices; the engine's own choices are left to it."""
    devices = ",".join(map(str, found.get("devices") or []))
    bf16 = ["--precision", "bf16"] if found.get("arithmetic") == "bf16" else []
    return [*bf16, *(["--devices", devices] if devices else [])]


def _python(module: str, card: str, *options: str) -> str:
    return local(shell(["python", "-m", module, "--model", card, *options]))


def _options(paths: Dict[str, Path]) -> List[str]:
    return [word for name, path in paths.items() for word in (name, _path(path))]


def _path(path: Path) -> str:
    """Return a path as it is typed in the current folder."""
    return str(path.relative_to(Path.cwd())) if Path.cwd() in path.parents else str(path)
