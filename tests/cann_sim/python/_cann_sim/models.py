"""Loaded models: what loading checks and costs, and the session behind them."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from _cann_sim import errors, knobs, state
from _cann_sim.errors import AclError
from _cann_sim.ir import IrSession
from _cann_sim.memory import Block
from _cann_sim.om import MBATCH, BadOm, Om, Tensor, from_bytes
from _cann_sim.violation import violate

Run = Callable[[Dict[str, np.ndarray]], List[np.ndarray]]
_ONNX = 5
_CACHE: Dict[Tuple, Om] = {}
_SESSIONS: Dict[str, Session] = {}


class Session:
    """One session of ONNX Runtime, or of OpenVINO for graphs that were not ONNX, per .om, shared by all its loads."""

    def __init__(self, om: Om) -> None:
        self._om = om
        self._lock = threading.Lock()
        self._run: Optional[Run] = None

    def run(self, feeds: Dict[str, np.ndarray]) -> List[np.ndarray]:
        """Return the outputs for ``feeds``.

        Raises:
            AclError: 507011 where the execution fails.
        """
        try:
            return self.prepare()(feeds)
        except Exception as error:
            raise AclError(errors.MODEL_EXECUTE, f"EZ9999: Inner Error! {error}") from error

    def prepare(self) -> Run:
        """Return what executes the graph, made once."""
        with self._lock:
            if self._run is None:
                self._run = _onnx_session(self._om) if self._om.framework == _ONNX else IrSession(self._om.graph).run
            return self._run


def _onnx_session(om: Om) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = int(knobs.number("THREADS"))
    session = onnxruntime.InferenceSession(om.graph, options, providers=["CPUExecutionProvider"])
    return lambda feeds: session.run(None, feeds)


@dataclass(eq=False)
class Model:
    """One load of an .om.

    Attributes:
        gear: Index of the gear last set through any dataset, None if none was.
        charged: Device memory that the system took for it.
        work: The caller's work area, if any.
        weight: The caller's weight area, if any.
    """

    number: int
    om: Om
    context: int
    device: int
    charged: int = 0
    gear: Optional[int] = None
    work: Optional[Block] = None
    weight: Optional[Block] = None
    running: threading.Lock = field(default_factory=threading.Lock)

    @property
    def session(self) -> Session:
        """What executes it."""
        return _SESSIONS.setdefault(self.om.digest, Session(self.om))

    @property
    def inputs(self) -> List[Tensor]:
        """All inputs, with the hidden one of gear models last."""
        hidden = hidden_input(self.om)
        # [D] locate it by its name: where it stands is not promised.
        return [*hidden, *self.om.inputs] if knobs.flag("GEAR_FIRST") else [*self.om.inputs, *hidden]

    @property
    def hidden(self) -> Optional[int]:
        """Index of the hidden input, None for a model without gears."""
        return next((index for index, tensor in enumerate(self.inputs) if tensor.name == MBATCH), None)

    def visible(self, values: Sequence[Any]) -> List[Any]:
        """Return the entries of a list over all inputs that are of visible ones."""
        return [value for index, value in enumerate(values) if index != self.hidden]

    def whole(self, values: Sequence[Any], hidden: Any) -> List[Any]:
        """Return a list over all inputs, made of one over the visible ones and the hidden one's entry."""
        found = list(values)
        if self.hidden is not None:
            found.insert(self.hidden, hidden)
        return found


def hidden_input(om: Om) -> List[Tensor]:
    """Return the extra input through which gears are chosen, if there is one."""
    if om.gears is None:
        return []
    # int32, one per value: the contract fixes only "at least 4 bytes".
    return [Tensor(MBATCH, "int64" if knobs.number("GEAR_BYTES", 4) == 8 else "int32", [len(om.gears.values[0])])]


def read_file(path: str) -> Om:
    """Read an .om as acl.mdl.load_from_file does.

    Raises:
        AclError: 145002 for a path that cannot be read or is empty, 145000 for what is not a whole .om.
    """
    try:
        stat = os.stat(path)
        key = (os.path.realpath(path), stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if key not in _CACHE:
            data = Path(path).read_bytes()
            if not data:
                raise AclError(errors.MODEL_PATH, f"E13026: File {path} is empty.")
            _CACHE[key] = read_bytes(data)
    except OSError as error:
        raise AclError(errors.MODEL_PATH, f"E13001: Failed to open file[{path}], reason: {error.strerror}") from error
    om = _CACHE[key]
    if om.external_weight and not (Path(path).parent / om.external_weight).exists():
        # [D] fails; 545001 LOAD_MODEL is [I].
        raise AclError(545001, f"E13001: {om.external_weight} is missing beside {path}")
    return om


def read_bytes(data: bytes) -> Om:
    """Read an .om from memory."""
    try:
        return from_bytes(data)
    except BadOm as error:
        # 145000 in the newest runtime, 145006 in older ones [S].
        raise AclError(
            errors.GE_PARAM_INVALID, f"E10001: Value om is invalid. Reason: Invalid om file. {error}"
        ) from error


def check_soc(om: Om) -> None:
    """Refuse an .om of another chip.

    Raises:
        AclError: 500002 [I]; the text is as observed with CANN 8.x [O].
    """
    own = state.process.soc.name
    if om.soc and om.soc != own:
        raise AclError(
            errors.GE_FAILURE,
            "EE1001: The argument is invalid.Reason: ModelCheckCompatibility failed, supported "
            f"socVersion={own}, but the model socVersion={om.soc}\n"
            "        Solution: 1.Check the input parameter range of the function. "
            "2.Check the function invocation relationship.\n"
            "        TraceBack (most recent call last):\n"
            "        rtModelCheckCompatibility execute failed, reason=[soc version error]",
        )


def load(om: Om, work: Tuple[int, int] = (0, 0), weight: Tuple[int, int] = (0, 0)) -> int:
    """Load ``om`` into the current context and return its model id.

    Args:
        om: The model.
        work: Pointer and size of the caller's work area; a null pointer leaves it to the system.
        weight: The same of the weights.
    """
    process = state.process
    context = process.context
    check_soc(om)
    if not om.graph and not knobs.flag("NULL_COMPUTE"):
        raise violate(f"the simulator cannot execute an .om of framework {om.framework}; set CANN_SIM_NULL_COMPUTE=1")
    work_block = _area("work", work, om.work_size, "E10001")
    weight_block = _area("weight", weight, om.weight_size, "E13025")
    system = (0 if work_block else om.work_size) + (0 if weight_block else om.weight_size)
    charged = process.memory.charge(context.device, system, errors.GE_OUT_OF_MEMORY) if system else 0
    model = Model(process.next_model, om, context.handle, context.device, charged, work=work_block, weight=weight_block)
    if weight_block is not None:
        _place_weights(model, weight_block)
    for block in (work_block, weight_block):
        if block is not None:
            block.tenants.append(model.number)
    if not knobs.flag("NULL_COMPUTE"):
        model.session.prepare()
    process.next_model += 1
    process.models[model.number] = model
    return model.number


def _area(name: str, area: Tuple[int, int], needed: int, code: str) -> Optional[Block]:
    ptr, size = area
    if ptr == 0:
        return None
    if size < needed:
        text = f"{code}: The {name} size of model is {needed}, but the input size set by user is {size}"
        raise AclError(errors.GE_PARAM_INVALID, text)
    region = state.process.memory.resolve(ptr, size, f"the {name} area of a model")
    if not region.on_device:
        raise violate(f"the {name} area of a model is {region.kind} memory")
    return region.block


def _place_weights(model: Model, block: Block) -> None:
    sharing = [state.process.models[number] for number in block.tenants]
    for other in sharing:
        if other.weight is block and other.om.digest != model.om.digest:
            raise violate("two different models were loaded into one weight area")
    mark = bytes.fromhex(model.om.digest)
    block.data[: len(mark)] = np.frombuffer(mark, np.uint8)[: block.data.size]


def check_weights(model: Model) -> None:
    """Refuse to execute a model whose weight area was overwritten."""
    if model.weight is not None:
        mark = np.frombuffer(bytes.fromhex(model.om.digest), np.uint8)[: model.weight.data.size]
        if (model.weight.data[: mark.size] != mark).any():
            raise violate(f"the weight area of model {model.number} was overwritten")


def find(number: int) -> Model:
    """Return a loaded model.

    Raises:
        AclError: 145003 for one that was unloaded or never loaded.
    """
    model = state.process.models.get(number)
    if model is None:
        raise AclError(errors.MODEL_ID, f"EZ9999: Inner Error! Model id {number} is invalid")
    return model


def check_context(model: Model, what: str) -> None:
    """Refuse a model of another context [D: load, execute and unload in the same one]."""
    if model.context != state.process.context.handle:
        raise violate(f"{what}: model {model.number} was loaded in another context")


def unload(number: int) -> None:
    """Unload a model and give its memory back."""
    process = state.process
    model = find(number)
    check_context(model, "acl.mdl.unload")
    process.ledger.check_host(number, 1, True, f"acl.mdl.unload of model {number}")
    for block in (model.work, model.weight):
        if block is not None:
            block.tenants.remove(number)
    if model.charged:
        process.memory.refund(model.device, model.charged)
    del process.models[number]
