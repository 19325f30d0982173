"""One call about a model: its values, its card, and the folders that what it makes is called by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, Tuple

from clip2om import option
from clip2om.environments import OF_FRAMEWORK, Environments
from clip2om.pipeline import run_names
from clip2om.pipeline.card import Card
from clip2om.pipeline.soc import CPU
from clip2om.values import Values

DEMO_CARD = "3d_resnet_demo"


@dataclass(frozen=True)
class Request:
    """What one call asks for.

    Attributes:
        values: Options, remembered ones included.
        given: Options of this call alone.
        card: With the overrides of SET.
        model: What the user calls the card.
        build: Folder of all that is made.
        soc: ``cpu`` or a chip's name.
        environments: Where stages run.
    """

    values: Values
    given: Values
    card: Card
    model: str
    build: Path
    soc: str
    environments: Environments

    @property
    def quiet(self) -> bool:
        """True where only warnings and results are wanted."""
        return "QUIET" in self.values

    @property
    def demo(self) -> bool:
        """True for the card whose videos are rendered where none are named."""
        return self.model == DEMO_CARD and "ANNOTATION_PATH" not in self.values

    @property
    def batches(self) -> Tuple[int, ...]:
        """The batch sizes asked for; one, but for ``om`` and a sweep."""
        return option.sizes(self.values.one("BATCH", str(self.card.input.batch)))

    @property
    def batch(self) -> int:
        """The batch size; of several the first."""
        return self.batches[0]

    @property
    def dynamic(self) -> str:
        """The sizes of one model for several; empty for a fixed one."""
        return self.values.one("DYNAMIC_BATCH")

    @property
    def int8(self) -> bool:
        """True where the model is quantized."""
        return self.values.one("PRECISION") == "int8"

    @property
    def framework(self) -> str:
        """The environment that exports the card."""
        return OF_FRAMEWORK[self.card.model.framework]

    @property
    def adopts(self) -> bool:
        """True where there is a graph already, and no framework and no weights."""
        return self.card.model.framework == "onnx"

    @property
    def mindir(self) -> bool:
        """True where MindSpore runs the model: only its own environment can."""
        formats = (self.values.one("GRAPH_FORMAT"), self.values.one("FORMAT"), self.card.export.format)
        return "mindir" in formats

    @property
    def runner(self) -> str:
        """The environment in which the compiled model runs."""
        return "mindspore" if self.mindir else "core"

    def compiled_name(self, batch: int) -> str:
        """Return the folder name of a compiled model."""
        return run_names.compiled_name(self.soc, batch, bool(self.dynamic), self.int8, self._variant())

    def _variant(self) -> str:
        """What was asked for instead of the card's or the host's own choice."""
        if self.soc == CPU:
            if self.int8:
                return ""
            chosen = self.values.one("FORMAT")
            return "" if chosen == "auto" else chosen
        mode = self.values.one("PRECISION_MODE")
        return "" if self.card.atc is not None and mode == self.card.atc.precision_mode else mode

    @property
    def run_name(self) -> str:
        """Folder name of scores and results."""
        devices = option.devices(self.values.one("DEVICES", "0"))
        values = self.values
        name = self.compiled_name(self.batch)
        return run_names.scored_name(name, values.one("PRECISION"), values.one("ENGINE"), devices)

    @property
    def graph(self) -> Path:
        """Folder of the graph."""
        return self.build / "graph"

    @property
    def prepared(self) -> Path:
        """Folder of the batches."""
        return self.build / "batches"

    @property
    def calibration(self) -> Path:
        """Folder of the batches of the training split, for int8."""
        return self.build / "calibration"

    @property
    def compiled(self) -> Path:
        """Folder of the compiled model."""
        return self.build / "compiled" / self.compiled_name(self.batch)

    @property
    def scores(self) -> Path:
        """Folder of the scores."""
        return self.build / "scores" / self.run_name

    @property
    def results(self) -> Path:
        """Folder of the results."""
        return self.build / "results" / self.run_name

    @property
    def checkpoint(self) -> Path:
        """The trained weights, or the graph that is there already, of the call or of the card."""
        given = self.values.one("GRAPH_FILE") if self.adopts else self.values.one("CHECKPOINT")
        return Path(given) if given else self.card.resolve(self.card.model.checkpoint)

    def of_card(self) -> List[str]:
        """Return the options that every stage takes: card, overrides, quiet."""
        words = ["--model", self.model]
        for entry in self.values.several("SET"):
            words += ["--set", entry]
        return [*words, *(["--quiet"] if self.quiet else [])]
