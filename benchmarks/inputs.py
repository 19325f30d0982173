"""What benchmarks run on: frames that compress like those of real videos, and the demo's model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import numpy as np
from PIL import Image

from clip2om.pipeline import cards
from clip2om.pipeline.places import ROOT

CARD = "3d_resnet_demo"
# As HMDB51's frames after extraction, which have 14 kB on the average.
WIDTH, HEIGHT, QUALITY = 320, 240, 82


@dataclass(frozen=True)
class Dataset:
    """Frame folders and an annotation that may name each of them several times; ``videos`` counts its entries."""

    frames: Path
    annotation: Path
    videos: int

    @property
    def paths(self) -> List[str]:
        """Options of the stages that read it."""
        return ["--video-path", str(self.frames), "--annotation-path", str(self.annotation)]


def write_frames(root: Path, folders: int, frames: int) -> List[Path]:
    """Write ``folders`` folders of JPEG frames: smooth colours that drift, a little noise."""
    made = []
    for number in range(folders):
        folder = root / f"video_{number:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(number)
        scene = Image.fromarray(random.integers(0, 256, (16, 20, 3), np.uint8)).resize(
            (2 * WIDTH, HEIGHT), Image.Resampling.BICUBIC
        )
        for frame in range(frames):
            shown = np.asarray(scene.crop((4 * frame % WIDTH, 0, 4 * frame % WIDTH + WIDTH, HEIGHT)), np.int16)
            noisy = np.clip(shown + random.integers(-6, 7, shown.shape, np.int16), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / f"image_{frame + 1:05d}.jpg", quality=QUALITY)
        made.append(folder)
    return made


def dataset(root: Path, folders: Sequence[Path], videos: int, frames: int, card: str = CARD) -> Dataset:
    """Write an annotation with ``videos`` entries over the frame folders, each as often as needed; labels of a card."""
    labels = cards.load(card).labels()
    database = {
        f"entry_{number:05d}": {
            "subset": "validation",
            "annotations": {"label": labels[number % len(labels)], "segment": [1, frames + 1]},
            "video_path": str(folders[number % len(folders)]),
        }
        for number in range(videos)
    }
    annotation = root / f"annotation_{videos}.json"
    annotation.write_text(json.dumps({"labels": labels, "database": database}))
    return Dataset(root, annotation, videos)


def compiled(
    work: Path, name: str = CARD, batch: int = 10, soc: str = "cpu", env: Optional[Dict[str, str]] = None
) -> Path:
    """Export and compile a card's model, unless it is there; return its folder.

    The demo has its own weights, others get random ones: speed does not depend on them.
    """
    graph, folder = work / name / "graph", work / name / "compiled" / f"{soc}-b{batch}"
    if not (graph / "model.json").is_file():
        weights = ["--checkpoint", str(random_checkpoint(work, name))] if name != CARD else []
        run(["-m", "export", "--model", name, *weights, "--dynamic-batch", "--output", str(graph), "--quiet"])
    if not (folder / "model.json").is_file():
        words = ["--graph", str(graph), "--soc", soc, "--batch", str(batch), "--output", str(folder), "--quiet"]
        run(["-m", "convert", "--model", name, *words], env)
    return folder


def random_checkpoint(work: Path, name: str) -> Path:
    """Write random weights of a card's network in PyTorch, unless they are there; return the file."""
    import torch

    from clip2om.export.pytorch.networks import build_network

    path = work / name / "random.pth"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        torch.save({"state_dict": build_network(cards.load(name)).state_dict()}, path)
    return path


def run(words: Sequence[str], env: Optional[Dict[str, str]] = None) -> float:
    """Run Python with ``words`` and return the seconds that it took.

    Raises:
        RuntimeError: it failed; with what it said last.
    """
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *words], cwd=ROOT, env=env, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: exit code {done.returncode}: {done.stderr.strip()[-500:]}")
    return seconds


def simulated(**knobs: object) -> Dict[str, str]:
    """Return the environment of a simulated NPU; see tests/cann_sim."""
    from tests.cann_sim import environment

    return environment(**knobs)


def stage(name: str, *words: object, card: str = CARD) -> List[str]:
    """Return the words that run a stage or a script with a card, quietly."""
    return ["-m", name, "--model", card, *map(str, words), "--quiet"]


def cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0))
