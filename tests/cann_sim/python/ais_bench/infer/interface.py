"""The Python interface: sessions on the simulated acl [S]."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence

import acl
import numpy as np
from _cann_sim.om import ACL_TYPES

from ais_bench.infer.generation import is_second, log

_MBATCH = "ascend_mbatch_shape_data"
_HOST_TO_DEVICE, _DEVICE_TO_HOST = 1, 2
_REPEATED = 100002
_NAMES = {number: name for name, number in ACL_TYPES.items()}
_opened: Dict[int, int] = {}


def _must(result: Any, what: str) -> Any:
    """Return the value of a successful call.

    Raises:
        RuntimeError: in the words of the compiled module.
    """
    code = result[-1] if isinstance(result, tuple) else result
    if code:
        tell(f"{what} failed")
        raise RuntimeError("[1][ACL: invalid parameter]")
    return result[0] if isinstance(result, tuple) else None


def tell(*lines: str) -> None:
    """Print what ACL says, then the tool's own lines: the fact first, its wrappers after it; no number [S]."""
    said = acl.get_recent_err_msg()
    if said:
        sys.stdout.write(f"[ACL ERROR] {said}\n")
    for line in lines:
        log("ERROR", line)


@dataclass
class TensorDesc:
    """One input or output; ``realsize`` are the bytes at the batch that was set."""

    name: str
    datatype: str
    format: int
    shape: List[int]
    size: int
    realsize: int


class Times:
    """Milliseconds of every execution and copy."""

    def __init__(self) -> None:
        self.exec_time_list: List[Any] = []
        self.h2d: List[float] = []
        self.d2h: List[float] = []


class InferSession:
    """One model on one device, with a context of its own."""

    def __init__(
        self, device_id: int, model_path: str, acl_json_path: Optional[str] = None, debug: bool = False, loop: int = 1
    ) -> None:
        self._device, self._loop = device_id, loop
        self._times = Times()
        self._freed = False
        code = acl.init(acl_json_path) if acl_json_path else acl.init()
        _must(0 if code == _REPEATED else code, "acl init")
        log("INFO", "acl init success")
        code = acl.rt.set_device(device_id)
        if code:
            tell(f"create context failed. ret={code}" if is_second() else f"acl open device {device_id} failed")
            self._finalize_last()
            log("ERROR", "Sample process failed")
            raise RuntimeError("[1][ACL: invalid parameter]")
        _opened[device_id] = _opened.get(device_id, 0) + 1
        log("INFO", f"open device {device_id} success")
        self._context = _must(acl.rt.create_context(device_id), "create context")
        if is_second():
            log("INFO", "create new context")
        self._load(model_path)
        self._allocate()

    def _load(self, path: str) -> None:
        self._model, code = acl.mdl.load_from_file(path)
        if code:
            tell(f"load model from file failed, model file is {path}")
            self._leave()
            raise RuntimeError("[1][ACL: invalid parameter]")
        log("INFO", f"load model {path} success")
        self._desc = acl.mdl.create_desc()
        _must(acl.mdl.get_desc(self._desc, self._model), "get model description")
        log("INFO", "create model description success")

    def _allocate(self) -> None:
        mdl, desc = acl.mdl, self._desc
        self._in_sizes = [mdl.get_input_size_by_index(desc, i) for i in range(mdl.get_num_inputs(desc))]
        self._out_sizes = [mdl.get_output_size_by_index(desc, i) for i in range(mdl.get_num_outputs(desc))]
        self._pointers, self._buffers = [], []
        self._feeds, self._results = self._dataset(self._in_sizes), self._dataset(self._out_sizes)
        self._batch = 0

    def _dataset(self, sizes: Sequence[int]) -> int:
        dataset = acl.mdl.create_dataset()
        for size in sizes:
            self._pointers.append(_must(acl.rt.malloc(size, 0), "malloc"))
            self._buffers.append(acl.create_data_buffer(self._pointers[-1], size))
            _must(acl.mdl.add_dataset_buffer(dataset, self._buffers[-1]), "add dataset buffer")
        return dataset

    @property
    def dynamic_batches(self) -> List[int]:
        """The batch gears, empty for a static model."""
        return _must(acl.mdl.get_dynamic_batch(self._desc), "get dynamic batch")["batch"]

    @property
    def is_dynamic(self) -> bool:
        """Whether the model has gears of any kind."""
        return _MBATCH in (acl.mdl.get_input_name_by_index(self._desc, i) for i in range(len(self._in_sizes)))

    def get_inputs(self) -> List[TensorDesc]:
        """Return the inputs without the hidden one."""
        return [
            self._tensor("input", i, size)
            for i, size in enumerate(self._in_sizes)
            if acl.mdl.get_input_name_by_index(self._desc, i) != _MBATCH
        ]

    def get_outputs(self) -> List[TensorDesc]:
        """Return the outputs."""
        return [self._tensor("output", i, size) for i, size in enumerate(self._out_sizes)]

    def _tensor(self, role: str, index: int, size: int) -> TensorDesc:
        def get(what: str) -> Any:
            return getattr(acl.mdl, what.format(role))(self._desc, index)

        dims = _must(get("get_{}_dims" if role == "input" else "get_cur_{}_dims"), "get dims")["dims"]
        batches = self.dynamic_batches
        if role == "input" and self._batch and -1 in dims:
            dims = [self._batch if extent == -1 else extent for extent in dims]
        real = size * self._batch // max(batches) if self._batch and batches else size
        name, dtype = get("get_{}_name_by_index"), _NAMES[get("get_{}_data_type")]
        return TensorDesc(name, dtype, get("get_{}_format"), dims, size, real)

    def set_dynamic_batchsize(self, batch: int) -> None:
        """Choose a gear.

        Raises:
            RuntimeError: not a gear of the model.
        """
        _must(acl.rt.set_context(self._context), "set context")
        index, code = acl.mdl.get_input_index_by_name(self._desc, _MBATCH)
        if not code:
            code = acl.mdl.set_dynamic_batch_size(self._model, self._feeds, index, batch)
        if code:
            log("ERROR", f"set dynamic batchsize {batch} failed: {code}; gears are {self.dynamic_batches}")
            raise RuntimeError("[1][ACL: invalid parameter]")
        self._batch = batch

    def set_staticbatch(self) -> None:
        """Prepare a static model: nothing to do."""

    def infer(self, feeds: Sequence[Any], mode: str = "static", custom_sizes: Any = 100000) -> List[np.ndarray]:
        """Execute on one array per input; ``dymbatch`` takes the batch from the first one."""
        arrays = [np.ascontiguousarray(feed) for feed in feeds]
        if mode == "dymbatch":
            self.set_dynamic_batchsize(int(arrays[0].shape[0]))
        elif mode != "static":
            raise RuntimeError(f"the simulator does not have mode {mode}")
        return self.run(arrays)

    def run(self, arrays: Sequence[np.ndarray]) -> List[np.ndarray]:
        """Copy in, execute, copy out. Bytes are passed as they are: no type or shape is looked at.

        Raises:
            RuntimeError: wrong number of inputs or of bytes, or a failed call.
        """
        if self._freed:
            raise RuntimeError("the session was freed")
        _must(acl.rt.set_context(self._context), "set context")
        inputs = self.get_inputs()
        if len(arrays) != len(inputs):
            raise RuntimeError(f"inputs number {len(arrays)} not equal model inputs {len(inputs)}")
        begin = time.perf_counter()
        for index, (array, tensor) in enumerate(zip(arrays, inputs)):
            if array.nbytes != tensor.realsize:
                log(
                    "ERROR",
                    f"Check i:{index} name:{tensor.name} in size:{array.nbytes} needsize:{tensor.realsize} not match",
                )
                raise RuntimeError("[1][ACL: invalid parameter]")
            source = np.ascontiguousarray(array)
            copied = acl.rt.memcpy(
                self._pointers[index], tensor.size, source.ctypes.data, source.nbytes, _HOST_TO_DEVICE
            )
            _must(copied, "memcpy to device")
        self._times.h2d.append((time.perf_counter() - begin) * 1e3)
        for _ in range(self._loop):
            self._execute()
        return self._fetch()

    def _execute(self) -> None:
        begin = time.perf_counter()
        if acl.mdl.execute(self._model, self._feeds, self._results):
            tell(f"execute model failed, modelId is {self._model}", "execute Infer failed ret:-1")
            raise RuntimeError("[-1][ACL: general failure]")
        end = time.perf_counter()
        taken = (begin * 1e3, end * 1e3) if is_second() else (end - begin) * 1e3
        self._times.exec_time_list.append(taken)

    def _fetch(self) -> List[np.ndarray]:
        begin = time.perf_counter()
        found = []
        for tensor, pointer in zip(self.get_outputs(), self._pointers[len(self._in_sizes) :]):
            array = np.empty(tensor.shape, tensor.datatype)
            code = acl.rt.memcpy(array.ctypes.data, array.nbytes, pointer, array.nbytes, _DEVICE_TO_HOST)
            _must(code, "memcpy to host")
            found.append(array)
        self._times.d2h.append((time.perf_counter() - begin) * 1e3)
        return found

    def summary(self) -> Times:
        """Return the times so far (G2; its execution times are pairs of start and end)."""
        return self._times

    sumary = summary  # G1's spelling

    def reset_summaryinfo(self) -> None:
        """Forget the times so far."""
        self._times = Times()

    reset_sumaryinfo = reset_summaryinfo  # G1's spelling

    def free_resource(self) -> None:
        """Release model, buffers and context."""
        if self._freed:
            return
        self._freed = True
        _must(acl.rt.set_context(self._context), "set context")
        for dataset in (self._feeds, self._results):
            acl.mdl.destroy_dataset(dataset)
        for buffer in self._buffers:
            acl.destroy_data_buffer(buffer)
        for pointer in self._pointers:
            acl.rt.free(pointer)
        acl.mdl.destroy_desc(self._desc)
        acl.mdl.unload(self._model)
        log("INFO", f"unload model success, model Id is {self._model}")
        self._leave()

    def _leave(self) -> None:
        acl.rt.destroy_context(self._context)
        log("INFO", "end to destroy context")
        acl.rt.reset_device(self._device)
        _opened[self._device] -= 1
        log("INFO", f"end to reset device {'' if is_second() else 'is '}{self._device}")
        self._finalize_last()

    @staticmethod
    def _finalize_last() -> None:
        if not any(_opened.values()):
            InferSession.finalize()

    @staticmethod
    def finalize() -> None:
        """Finalize ACL."""
        acl.finalize()
        log("INFO", "end to finalize acl")
