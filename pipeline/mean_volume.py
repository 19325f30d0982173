"""The mean of each value of a clip, which some recipes subtract in place of a mean per channel."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import numpy as np

from clip2om.pipeline.arrays import NoArrayError, load_npy
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError


def read_mean_volume(path: Path, frames: int, size: int) -> np.ndarray:
    """Return the values of a .npy file, float32 (T, H, W, C).

    Raises:
        RequestError: there is no such file, or it holds something else.
    """
    shape = (frames, size, size, 3)
    try:
        volume = load_npy(path)
    except FileNotFoundError:
        raise RequestError(
            "transform.mean_volume: no such file", path, "--set transform.mean_volume=FILE.npy"
        ) from None
    except (OSError, NoArrayError) as error:
        raise RequestError(f"transform.mean_volume cannot be read ({error})", path, "expected a .npy file") from None
    if volume.dtype != np.float32 or volume.shape != shape:
        raise RequestError(f"transform.mean_volume holds {volume.dtype} {volume.shape}, expected float32 {shape}", path)
    if not np.isfinite(volume).all():
        raise RequestError("transform.mean_volume holds NaN or infinite values", path, "make it again")
    return volume


def mean_volume_of(card: Card) -> Optional[np.ndarray]:
    """Return the card's mean volume, float32 (T, H, W, C); None where it has none.

    Raises:
        RequestError: as :func:`read_mean_volume`.
    """
    if not card.transform.mean_volume:
        return None
    return read_mean_volume(card.resolve(card.transform.mean_volume), card.clips.frames, card.transform.size)
