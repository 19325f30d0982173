"""How each recipe's frames are made: size, encoder, rate and names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict

from clip2om.pipeline.frame_names import FrameNames
from clip2om.scripts.dataset.jpeg_frames import Settings


@dataclass(frozen=True)
class Profile:
    """Settings, names, and what they are, in words."""

    settings: Settings
    names: FrameNames
    words: str


# r2plus1d_mindspore's own tool writes red and blue swapped: that takes --swap-red-blue.
PROFILES: Dict[str, Profile] = {
    "3d_resnet": Profile(Settings(240), FrameNames(), "shorter side 240, the ffmpeg tool's JPEG quality"),
    "resnet3d_mindspore": Profile(Settings(0, 75), FrameNames(), "original size, JPEG quality 75"),
    "c3d_mmaction": Profile(
        Settings(0, 95), FrameNames("img_{:05d}.jpg"), "original size, JPEG quality 95; for c3d_paddle too"
    ),
    "c3d_tf": Profile(
        Settings(0, 0, 5, drop=True), FrameNames("{:05d}.jpg"), "original size, 5 frames/s, the ffmpeg tool's quality"
    ),
    "r2plus1d_mindspore": Profile(
        Settings(0, 95, size=(171, 128), upright=False),
        FrameNames("0000{}.jpg", 0),
        "171x128, JPEG quality 95, counted from 0, as stored",
    ),
}
