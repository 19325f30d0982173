"""Video files: counted without decoding, decoded once from the first frame to the last one that is wanted."""

from __future__ import annotations

from typing import Any, Dict, Iterator, Sequence, Tuple

import numpy as np

from clip2om.pipeline.errors import RequestError
from clip2om.preprocess.errors import BadVideoError


def read_video(path: str, numbers: Sequence[int], first_frame: int) -> Iterator[Tuple[int, np.ndarray]]:
    """Yield (number, pixels) for the ascending frame ``numbers``; pixels are uint8 (H, W, 3) and valid until the next.

    Raises:
        BadVideoError: the file cannot be decoded, or not as far as the last number.
    """
    av = import_av()
    converter = av.video.reformatter.VideoReformatter()
    alone = one_thread(av)
    wanted = iter(numbers)
    number = next(wanted)
    decoded = 0
    try:
        with av.open(path) as container:
            stream = _video_stream(container)
            # One thread each: the worker processes already use every core.
            stream.thread_count = 1
            for decoded, frame in enumerate(container.decode(stream), start=1):
                current = first_frame + decoded - 1
                if frame.is_corrupt:
                    raise BadVideoError(f"frame {current} is corrupt")
                if current == number:
                    yield number, _pixels(converter.reformat(frame, format="rgb24", **alone))
                    following = next(wanted, None)
                    if following is None:
                        return
                    number = following
    except (av.error.FFmpegError, IndexError) as error:
        raise BadVideoError(f"cannot be decoded after {decoded} frames ({_short(error)})") from None
    raise BadVideoError(f"only {decoded} frames decode, frame {number} is wanted")


def count_frames(path: str, whole: bool) -> int:
    """Count the packets of the first video stream: as many as frames, and found without decoding.

    With ``whole``, a file that holds fewer than its header announces is refused as cut off; two may be missing, because
    containers announce frames without content.

    Raises:
        BadVideoError: the file cannot be opened, or is cut off.
    """
    av = import_av()
    try:
        with av.open(path) as container:
            stream = _video_stream(container)
            count = sum(1 for packet in container.demux(stream) if packet.size)
            if whole and count < stream.frames - 2:
                raise BadVideoError(f"it is cut off: {count} of {stream.frames} frames are there")
            return count
    except (av.error.FFmpegError, IndexError) as error:
        raise BadVideoError(f"cannot be opened ({_short(error)})") from None


def import_av() -> Any:
    """Return the module av; only video files need it.

    Raises:
        RequestError: it is not installed.
    """
    try:
        import av
    except ImportError:
        raise RequestError("PyAV, which reads video files, is not installed", "av", "pip install av") from None
    return av


def one_thread(av: Any) -> Dict[str, int]:
    """Return the option of ``VideoReformatter.reformat`` that keeps it from waking every core for each frame.

    PyAV has it since 17; before that a single thread converts anyway.
    """
    return {"threads": 1} if int(av.__version__.partition(".")[0]) >= 17 else {}


def _pixels(frame: Any) -> np.ndarray:
    """Return the picture without copying it; its rows are padded."""
    (plane,) = frame.planes
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height]
    return rows[:, : 3 * frame.width].reshape(frame.height, frame.width, 3)


def _video_stream(container: Any) -> Any:
    return container.streams.video[0]


def _short(error: Exception) -> str:
    if isinstance(error, IndexError):
        return "no video stream"
    return str(getattr(error, "strerror", None) or error)
