"""c3d_paddle as its user runs it: ``.pdparams`` and a rawframe list through make give Paddle's own scores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict

import numpy as np
import paddle
import pytest
from PIL import Image

from clip2om.export.paddle.networks import build_network
from clip2om.pipeline.manifest import read_manifest
from tests import cann_sim
from tests.command import ROOT
from tests.export.paddle import small
from tests.formula import frame

# Frames per video: fewer than a clip, one clip exactly, and more. The folders are no classes of UCF101: the labels are
# what the weights answer.
LENGTHS = {"arrows/v_a_g01_c01": 7, "arrows/v_a_g01_c02": 16, "balls/v_b_g01_c01": 33, "waves/v_c_g01_c01": 20}
CLASSES = ("model.classes=101",)
SOC = "Ascend310P3"


class Chain:
    """``make`` over four small videos, with formula weights."""

    def __init__(self, root: Path) -> None:
        self.root, self.frames, self.list = root, root / "rawframes", root / "list.txt"
        self.checkpoint = small.save(root / "small.pdparams", *small.SINGLE, *CLASSES)
        for seed, (name, count) in enumerate(LENGTHS.items()):
            (self.frames / name).mkdir(parents=True)
            for number in range(count):
                # Lossless data under the recipe's name: what is decoded is what was made.
                path = self.frames / name / f"img_{number + 1:05d}.jpg"
                Image.fromarray(frame(40 + seed, number, 40, 56)).save(path, format="PNG")
        self.write_list({name: 0 for name in LENGTHS})

    def write_list(self, labels: Dict[str, int]) -> None:
        """Write the rawframe list with these labels."""
        self.list.write_text("".join(f"{name} {LENGTHS[name]} {label}\n" for name, label in labels.items()))

    def make(
        self, target: str, build: Path, *overrides: str, soc: str = "cpu", **variables: object
    ) -> subprocess.CompletedProcess:
        """Run ``make target`` with this interpreter, for an NPU with the simulated tools."""
        given = {
            "MODEL": "c3d_paddle",
            "SOC": soc,
            "PYTHON": sys.executable,
            "BUILD": build,
            "CHECKPOINT": self.checkpoint,
            "VIDEO_PATH": self.frames,
            "ANNOTATION_PATH": self.list,
            "SET": " ".join(entry.replace(" ", "") for entry in (*overrides, *CLASSES)),
            **variables,
        }
        command = ["make", "--no-print-directory", target, *[f"{name}={value}" for name, value in given.items()]]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        violations = self.root / "violations"
        if soc != "cpu":
            environment = cann_sim.environment(self.root / "host", base=environment, violations=violations)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, env=environment)
        assert not violations.exists() or not violations.read_text(), violations.read_text()
        return done

    def scores_of_paddle(self, batches: Path) -> Dict[str, np.ndarray]:
        """Return the mean of Paddle's raw logits over the clips of each video, float32 (classes,)."""
        network = build_network(small.card(*small.SINGLE, *CLASSES))
        network.set_state_dict(small.weights(network))
        network.eval()
        manifest = read_manifest(batches)
        files = [np.fromfile(batches / file.name, np.float32).reshape(-1, *small.SHAPE) for file in manifest.files]
        scores = {}
        for video in manifest.videos:
            clips = np.stack([files[slot.file][slot.slot] for slot in video.slots()])
            with paddle.no_grad():
                scores[video.id] = network(paddle.to_tensor(clips)).numpy().mean(axis=0)
        return scores


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return Chain(tmp_path_factory.mktemp("chain"))


@pytest.mark.parametrize(
    ("form", "batch"),
    [(small.SINGLE, 3), ((*small.AVERAGED, "atc.input_format=ND"), 1), (small.SEVERAL, 2)],
    ids=["single clips", "as published", "a row for each clip"],
)
def test_five_stages_give_paddle_s_own_scores(chain: Chain, form: tuple, batch: int) -> None:
    build = chain.root / f"build{batch}"
    first = chain.make("batches", build, *form, BATCH=batch)
    assert first.returncode == 0, first.stderr
    expected = chain.scores_of_paddle(build / "batches")
    assert sorted(expected) == sorted(name.split("/")[1] for name in LENGTHS)
    best = {name: int(expected[name.split("/")[1]].argmax()) for name in LENGTHS}
    wrong = next(iter(LENGTHS))
    chain.write_list({**best, wrong: (best[wrong] + 1) % 101})
    done = chain.make("accuracy", build, *form, BATCH=batch, K=5)
    assert done.returncode == 0, done.stdout + done.stderr
    results = build / "results" / f"cpu-b{batch}"
    found = json.loads((results / "val.json").read_text())["results"]
    labels = small.card().labels()
    for name, scores in expected.items():
        order = np.argsort(-scores, kind="stable")[:5]
        assert [entry["label"] for entry in found[name]] == [labels[index] for index in order]
        assert np.allclose([entry["score"] for entry in found[name]], scores[order], atol=2e-5 * np.abs(scores).max())
    assert np.ptp([scores.max() for scores in expected.values()]) > 1e-3
    assert "top-1" in done.stdout and "3/4" in done.stdout


@pytest.mark.parametrize(
    ("form", "batch", "layout"),
    [(small.SINGLE, 3, "NCDHW"), ((*small.AVERAGED, "atc.input_format=ND"), 1, "ND")],
    ids=["single clips", "as published"],
)
def test_simulated_npu_gives_the_results_of_the_cpu(chain: Chain, form: tuple, batch: int, layout: str) -> None:
    build = chain.root / f"build{batch}"
    assert chain.make("accuracy", build, *form, BATCH=batch, K=5).returncode == 0
    done = chain.make("accuracy", build, *form, soc=SOC, BATCH=batch, K=5)
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((build / "compiled" / f"{SOC}-b{batch}" / "model.json").read_text())
    assert "--framework=5" in record["atc_command"] and f"--input_format={layout}" in record["atc_command"]
    mine, expected = (
        json.loads((build / "results" / f"{soc}-b{batch}" / "val.json").read_text())["results"] for soc in (SOC, "cpu")
    )
    assert list(mine) == list(expected)
    for name, entries in mine.items():
        assert [entry["label"] for entry in entries] == [entry["label"] for entry in expected[name]]
        scores = [entry["score"] for entry in expected[name]]
        assert np.allclose([entry["score"] for entry in entries], scores, atol=2e-5 * max(map(abs, scores)))
    done = chain.make("parity", build, *form, soc=SOC, BATCH=batch, CLIPS=4)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((build / "parity" / f"{SOC}-b{batch}" / "parity.json").read_text())
    assert (report["sides"][2]["engine"], report["sides"][2]["soc"]) == ("acl", SOC)
    assert report["steps"][1]["limits"]["max_diff"] == 0.05  # ATC is asked for float16


def test_parity_agrees(chain: Chain) -> None:
    done = chain.make("parity", chain.root / "build3", *small.SINGLE, BATCH=3, CLIPS=5)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASSED: framework, graph and compiled model agree" in done.stdout
    report = json.loads((chain.root / "build3" / "parity" / "cpu-b3" / "parity.json").read_text())
    assert [side["engine"] for side in report["sides"]] == ["paddle", "onnxruntime", "openvino"]
    assert report["sides"][0]["engine_version"] == paddle.__version__
    assert report["clips"] == 6 and all(step["top1_agree"] == 6 for step in report["steps"])
    for line in done.stderr.splitlines():
        assert line.split(":")[0] in ("clip2om", "export", "export.run", "preprocess", "convert", "infer", "parity"), (
            line
        )


def test_parity_of_the_published_form_compares_videos(chain: Chain) -> None:
    form = (*small.AVERAGED, "atc.input_format=ND")
    done = chain.make("parity", chain.root / "build1", *form, BATCH=1, CLIPS=4)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((chain.root / "build1" / "parity" / "cpu-b1" / "parity.json").read_text())
    assert (report["clips"], report["rows"], report["steps"][0]["rows"]) == (4, "videos", 2)
    assert report["steps"][0]["worst"][0].startswith("v_a_g01")


def test_height_rule_refuses_what_the_recipe_breaks(chain: Chain, tmp_path: Path) -> None:
    portrait = tmp_path / "frames" / "Archery" / "v_p"
    portrait.mkdir(parents=True)
    for number in range(1, 3):
        Image.fromarray(frame(9, number, 60, 30)).save(portrait / f"img_{number:05d}.jpg", format="PNG")
    (tmp_path / "list.txt").write_text("Archery/v_p 2 2\n")
    paths = {"VIDEO_PATH": tmp_path / "frames", "ANNOTATION_PATH": tmp_path / "list.txt", "BATCH": 2}
    assert chain.make("batches", tmp_path / "short", *small.SINGLE, **paths).returncode == 0
    done = chain.make("batches", tmp_path / "height", *small.SINGLE, "transform.rule=height", **paths)
    assert done.returncode == 2 and "too small for the crop of 32x32" in done.stderr
