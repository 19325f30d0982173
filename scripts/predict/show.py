"""Predictions for people (bars) and for programs (JSON lines)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import isfinite
from typing import Any, Dict, List, Sequence

from clip2om.pipeline.console import Console
from clip2om.scripts.predict.scores import Prediction, ScoredClip, Top, top_of

_BAR = 20


@dataclass(frozen=True)
class Show:
    """How predictions are shown.

    Attributes:
        labels: Class names.
        k: Labels per video or clip.
        activation: Per clip, before the mean.
        timeline: Show each clip as well.
        as_json: One JSON object per line instead of bars.
    """

    console: Console
    labels: Sequence[str]
    k: int
    activation: str
    timeline: bool
    as_json: bool

    def clip(self, prediction: Prediction, clip: ScoredClip) -> None:
        """Show one clip, where a time line is asked for."""
        if not self.timeline:
            return
        top = top_of([clip.logits], self.k, self.activation)
        times = prediction.video.times
        seconds = [round(edge, 3) for edge in times.span(clip.first, clip.last)] if times else None
        if self.as_json:
            place = {"first": clip.first, "last": clip.last, "seconds": seconds}
            self._json(
                {"video": prediction.video.path, "clip": len(prediction.clips), **place, "top": self._named(top)}
            )
            return
        when = f"{seconds[0]:8.2f} s to {seconds[1]:8.2f} s" if seconds else f"frames {clip.first} to {clip.last}"
        words = ", ".join(f"{self.labels[index]} {score:.3f}" for index, score in top)
        self.console.result(f"{_one_line(prediction.video.path)}  {when}  {words}")

    def video(self, prediction: Prediction) -> None:
        """Show a video that is done."""
        video, top = prediction.video, prediction.top(self.k, self.activation)
        if video.note:
            self.console.warn(f"{_one_line(video.path)} {video.note}")
        if video.reason:
            self.console.warn(f"{_one_line(video.path)}: {video.reason}")
        if self.as_json:
            about = {"video": video.path, "clips": len(prediction.clips)}
            self._json({**about, "top": self._named(top), "problem": video.reason})
            return
        count = len(prediction.clips)
        self.console.result(f"{_one_line(video.path)} ({count} {'clip' if count == 1 else 'clips'})")
        for index, score in top:
            bar = "#" * round(score * _BAR) if 0 <= score <= 1 else ""
            self.console.result(f"  {bar:{_BAR}}  {score:6.3f}  {self.labels[index]}")

    def _named(self, top: Top) -> List[Dict[str, Any]]:
        """Return the classes by name; JSON has no NaN, which the naive softmax may give."""
        return [{"label": self.labels[index], "score": score if isfinite(score) else None} for index, score in top]

    def _json(self, line: Dict[str, Any]) -> None:
        text = json.dumps(line, ensure_ascii=False, allow_nan=False)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            # A file name that is no UTF-8: escaped, it still leads a program to the file.
            text = json.dumps(line, allow_nan=False)
        self.console.result(text)


def _one_line(name: str) -> str:
    """Return a file name as it can stand in a line: one with a line end in it must not look like another line."""
    return name.replace("\n", "\\n")
