"""The model on the device, called as msame calls it."""

from __future__ import annotations

import time
from typing import Any, List

import numpy as np

from _cann_sim.msame.options import Options, Stop
from _cann_sim.om import ACL_TYPES, MBATCH

_NAMES = {number: name for name, number in ACL_TYPES.items()}


class Runner:
    """Everything from acl.init to acl.finalize; ``say`` prints one line."""

    def __init__(self, options: Options, say: Any) -> None:
        import acl

        self._acl, self._options, self._say = acl, options, say
        self.pointers: List[int] = []
        self._buffers: List[int] = []
        self._stale = False
        self._need(acl.init(), "acl init")
        code = acl.rt.set_device(options.device)
        if code:
            acl.finalize()
        self._need(code, f"open device {options.device}")
        self._context = self._need(acl.rt.create_context(options.device), "create context")
        self._stream = self._need(acl.rt.create_stream(), "create stream")
        self._need(acl.rt.get_run_mode(), "get run mode")

    def _need(self, result: Any, what: str) -> Any:
        value, code = result if isinstance(result, tuple) else (None, result)
        if code:
            raise Stop(1, f"[ERROR] {what} failed, errorCode is {code}")
        self._say(f"[INFO] {what} success")
        return value

    def load(self) -> None:
        """Load the model and prepare its output buffers."""
        acl, mdl = self._acl, self._acl.mdl
        model, code = mdl.load_from_file(self._options.model)
        if code:
            raise Stop(1, f"[ERROR] load model from file failed, model file is {self._options.model}")
        self._model = model
        self._say(f"[INFO] load model {self._options.model} success")
        self._desc = mdl.create_desc()
        self._need(mdl.get_desc(self._desc, model), "create model description")
        self._need(mdl.get_input_dynamic_gear_count(self._desc, -1), "get input dynamic gear count")
        self.inputs = [mdl.get_input_size_by_index(self._desc, i) for i in range(mdl.get_num_inputs(self._desc))]
        sizes = [mdl.get_output_size_by_index(self._desc, i) for i in range(mdl.get_num_outputs(self._desc))]
        self._outputs = sizes
        self._results = self._dataset([self._device_memory(size) for size in sizes], sizes)
        self._need(0, "create model output")
        names = [mdl.get_input_name_by_index(self._desc, i) for i in range(len(self.inputs))]
        self._gear_input = names.index(MBATCH) if MBATCH in names else -1
        self._largest = max(mdl.get_dynamic_batch(self._desc)[0]["batch"] or [0])
        assert acl is not None

    @property
    def visible_inputs(self) -> int:
        """How many inputs the caller gives."""
        return len(self.inputs) - (self._gear_input >= 0)

    def _device_memory(self, size: int) -> int:
        pointer, code = self._acl.rt.malloc(size, 2)
        if code:
            raise Stop(1, f"[ERROR] malloc device buffer failed, size is {size}, errorCode is {code}")
        self.pointers.append(pointer)
        return pointer

    def _dataset(self, pointers: List[int], sizes: List[int]) -> int:
        dataset = self._acl.mdl.create_dataset()
        for pointer, size in zip(pointers, sizes):
            self._buffers.append(self._acl.create_data_buffer(pointer, size))
            self._acl.mdl.add_dataset_buffer(dataset, self._buffers[-1])
        return dataset

    def execute(self, contents: List[bytes]) -> List[float]:
        """Execute on one sample as often as --loop says; returns milliseconds, none where it failed.

        Sizes are not compared: buffers are as large as the files.
        """
        acl = self._acl
        mark, marked = len(self.pointers), len(self._buffers)
        pointers, sizes = [], []
        for content in contents:
            sizes.append(len(content))
            pointers.append(self._device_memory(max(len(content), 1)))
            array = np.frombuffer(content, np.uint8)
            acl.rt.memcpy(pointers[-1], len(content), array.ctypes.data, len(content), 1)
        if self._gear_input >= 0:
            sizes.append(self.inputs[self._gear_input])
            pointers.append(self._device_memory(sizes[-1]))
        # Sic: what a failed execution left in the dataset stays there, and every later file fails with it [S].
        if self._stale:
            self._say("[ERROR] execute model failed, modelId is " + str(self._model))
            times: List[float] = []
        else:
            feeds = self._dataset(pointers, sizes)
            times = self._loop(feeds)
            acl.mdl.destroy_dataset(feeds)
        self._stale = not times
        try:
            return times
        finally:
            while len(self._buffers) > marked:
                acl.destroy_data_buffer(self._buffers.pop())
            while len(self.pointers) > mark:
                acl.rt.free(self.pointers.pop())

    def _loop(self, feeds: int) -> List[float]:
        acl, times = self._acl, []
        if self._options.batch:
            index = self._gear_input if self._gear_input >= 0 else 0
            if acl.mdl.set_dynamic_batch_size(self._model, feeds, index, self._options.batch):
                self._say("[ERROR] set dynamic batch size failed")
                return []
        for _ in range(self._options.loop):
            begin = time.perf_counter()
            code = acl.mdl.execute(self._model, feeds, self._results)
            if code:
                # ACL's own words stand there bare; no number is printed [S].
                self._say((acl.get_recent_err_msg() or "").rstrip())
                self._say(f"[ERROR] execute model failed, modelId is {self._model}")
                return []
            times.append((time.perf_counter() - begin) * 1e3)
            self._say("[INFO] model execute success")
            self._say(f"Inference time: {times[-1]:.6g}ms")
        return times

    def results(self) -> List[np.ndarray]:
        """Copy the outputs to the host; with --dymBatch a share of the largest gear.

        Sic: an output is cut into as many parts as the batch fits into the largest gear, in integers, so that a gear
        that does not divide it gets more rows than it has; and padding of the device is written, too [S].
        """
        acl, found = self._acl, []
        for index, size in enumerate(self._outputs):
            if self._options.batch and self._largest:
                size = size // (self._largest // self._options.batch)
            data = np.empty(size, np.uint8)
            acl.rt.memcpy(data.ctypes.data, size, self.pointers[index], size, 2)
            dims = acl.mdl.get_cur_output_dims(self._desc, index)[0]["dims"]
            dtype = _NAMES[acl.mdl.get_output_data_type(self._desc, index)]
            array = data.view(dtype)
            found.append(array.reshape(dims) if array.size == int(np.prod(dims)) else array)
        self._say("[INFO] output data success")
        return found

    def close(self) -> None:
        """Release everything, in order."""
        acl = self._acl
        if hasattr(self, "_desc"):
            acl.mdl.destroy_dataset(self._results)
            for buffer in self._buffers:
                acl.destroy_data_buffer(buffer)
            acl.mdl.destroy_desc(self._desc)
            acl.mdl.unload(self._model)
            self._say(f"[INFO] unload model success, model Id is {self._model}")
            for pointer in self.pointers:
                acl.rt.free(pointer)

    def leave(self) -> None:
        """Destroy stream and context, reset the device, finalize."""
        acl = self._acl
        acl.rt.destroy_stream(self._stream)
        self._say("[INFO] end to destroy stream")
        acl.rt.destroy_context(self._context)
        self._say("[INFO] end to destroy context")
        acl.rt.reset_device(self._options.device)
        self._say(f"[INFO] end to reset device is {self._options.device}")
        acl.finalize()
        self._say("[INFO] end to finalize acl")
