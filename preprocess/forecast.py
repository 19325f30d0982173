"""What a protocol costs, told before it starts: frames to decode and to resize, crops, bytes, executions, views."""

from __future__ import annotations

from dataclasses import dataclass

from clip2om.preprocess.plan import Plan
from clip2om.preprocess.samplers.numbers import BLACK


@dataclass(frozen=True)
class Forecast:
    """The work of a plan.

    Attributes:
        decoded: Frames that are decoded: of a video file all up to the last one that is shown.
        resized: Frames that are shown, each resized once however many clips and crops show it.
        crops: Of each of them.
        executions: Of the model, padding included.
        views: Rows that the model gives, and the most that a video has.
    """

    videos: int
    decoded: int
    resized: int
    crops: int
    nbytes: int
    executions: int
    batch: int
    views: int
    most_views: int

    def __str__(self) -> str:
        crops = f", {self.crops} crops of each" if self.crops > 1 else ""
        each = f" ({self.most_views} a video)" if self.videos else ""
        return (
            f"{self.decoded} frames to decode, {self.resized} to resize once{crops}; {self.views} views{each}, "
            f"{self.executions} executions of {self.batch}"
        )


def forecast(plan: Plan, crops: int) -> Forecast:
    """Return what a plan takes; ``crops`` is how many a frame has."""
    decoded = resized = 0
    for video in plan.videos:
        shown = {number for clip in video.clips for number in clip.frames} - {BLACK}
        resized += len(shown)
        decoded += max(shown) - video.source.first_frame + 1 if video.source.kind == "video" else len(shown)
    return Forecast(
        videos=len(plan.videos),
        decoded=decoded,
        resized=resized,
        crops=crops,
        nbytes=len(plan.files) * plan.tensor.nbytes,
        executions=len(plan.files),
        batch=plan.tensor.batch,
        views=plan.clips,
        most_views=max((len(video.clips) for video in plan.videos), default=0),
    )
