"""What the NPUs draw while they work, as far as npu-smi tells it."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any, Dict, Iterator, List, Sequence

from clip2om.pipeline import npu_smi

# npu-smi takes about a second of a processor core; a run that is shorter gets one sample.
_EVERY_S = 10.0
_ANSWER_S = 5.0


class PowerMeter:
    """Asks npu-smi now and then, on a thread of its own."""

    def __init__(self, devices: Sequence[int]) -> None:
        # npu-smi counts all devices of the host, this process those that are visible to it, from 0.
        shown = [int(word) for word in os.environ.get("ASCEND_RT_VISIBLE_DEVICES", "").split(",") if word.isdigit()]
        self._devices = {shown[device] if device < len(shown) else device: device for device in devices}
        self._watts: Dict[int, List[float]] = {}
        self._over = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Measure while the block runs; what does not answer is no error."""
        thread = threading.Thread(target=self._measure, name="power", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(_ANSWER_S)

    def seen(self) -> Dict[int, Dict[str, Any]]:
        """Return watts by device: mean, most and the number of samples; a device that npu-smi does not tell is not in.

        It is the power of the whole chip, whoever uses it.
        """
        return {
            device: {"mean_w": round(sum(found) / len(found), 2), "most_w": max(found), "samples": len(found)}
            for device, found in self._watts.items()
        }

    def _measure(self) -> None:
        while True:
            listing = npu_smi.run(os.environ, _ANSWER_S)
            if listing is None:
                return
            told = False
            for index, chip in enumerate(listing.chips):
                device = self._devices.get(index if chip.device is None else chip.device)
                if device is not None and chip.power_w is not None:
                    self._watts.setdefault(device, []).append(chip.power_w)
                    told = True
            if not told or self._over.wait(_EVERY_S):
                return
