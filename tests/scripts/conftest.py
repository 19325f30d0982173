from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Callable

import numpy as np
import pytest

from tests.formula import DATA, frame

GOLDEN_VIDEO = DATA / "video" / "v_Archery_g01_c01.avi"

MakeVideo = Callable[..., Path]


@pytest.fixture
def make_video() -> MakeVideo:
    """Write a lossless video of the golden vectors' synthetic frames."""
    import av

    def make(path: Path, width: int = 64, height: int = 48, frames: int = 3, codec: str = "ffv1") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=Fraction(10))
            stream.width, stream.height = width, height
            stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
            for t in range(frames):
                image = np.ascontiguousarray(frame(7, t, height, width))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
            container.mux(stream.encode())
        return path

    return make
