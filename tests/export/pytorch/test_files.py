"""Checkpoints as people save them: containers, wrappers, what training leaves beside the weights, averages, formats."""

import argparse
import collections
import datetime
import json
import pathlib
import pickle
import struct
import sys
import tarfile
import types
import zipfile

import numpy as np
import pytest
import torch

from clip2om.export.pytorch.checkpoint import load_weights
from clip2om.export.pytorch.networks import build_network
from clip2om.pipeline import cards
from clip2om.pipeline.errors import RequestError

DEMO = cards.load("3d_resnet_demo")


def save(tmp_path, content, name="checkpoint.pth", **options):
    path = tmp_path / name
    torch.save(content, path, **options)
    return path


def loads(path, weights, average=None, card=DEMO):
    """Load a file, compare it with ``weights``, and return what was said."""
    said = []
    network = load_weights(build_network(card), path, card, average, said.append)
    state = network.state_dict()
    for name, value in weights.items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(state[name], value.float()), name
    return " | ".join(said)


def refusal(path, card=DEMO, average=None):
    with pytest.raises(RequestError) as caught:
        load_weights(build_network(card), path, card, average)
    line = caught.value.line()
    assert str(path) in line and "\n" not in line
    return line


def prefixed(weights, prefix):
    return {prefix + name: value for name, value in weights.items()}


def class_of(module, name, **content):
    """A class that is gone when the file is read, as that of another project's training code is."""
    made = type(name, (), content)
    made.__module__ = module
    parts = module.split(".")
    for count in range(len(parts)):
        sys.modules.setdefault(".".join(parts[: count + 1]), types.ModuleType(".".join(parts[: count + 1])))
    setattr(sys.modules[module], name, made)
    return made


def forget(module):
    for name in list(sys.modules):
        if name == module or name.startswith(f"{module}."):
            del sys.modules[name]


# --- what stands beside the weights ---


def beside():
    history = class_of("strangers.logging", "HistoryBuffer")()
    history._log_history, history._max = np.arange(3.0), 10
    listed = type("Listed", (list,), {"__module__": "strangers.logging"})
    sys.modules["strangers.logging"].Listed = listed
    entries = type("Config", (dict,), {"__module__": "strangers.logging"})
    sys.modules["strangers.logging"].Config = entries
    return {
        "message_hub": {"loss": history},
        "args": argparse.Namespace(lr=0.1, out=pathlib.Path("/out"), when=datetime.datetime(2026, 1, 2, tzinfo=None)),
        "best_acc": np.float64(0.5),
        "curve": np.arange(4, dtype=np.float32),
        "objects": np.array(["a", None], dtype=object),
        "date": datetime.date(2026, 1, 2),
        "span": datetime.timedelta(1),
        "counts": collections.defaultdict(list, {1: [2]}),
        "queue": collections.deque([1, 2], 5),
        "ordered": collections.OrderedDict(a=1),
        "set": {1, 2},
        "frozen": frozenset([1]),
        "complex": 1j,
        "range": slice(1, 2),
        "listed": listed([1, 2]),
        "config": entries(a=1),
        "simple": types.SimpleNamespace(a=1),
        "device": torch.device("cpu"),
        "dtype": torch.float16,
        "size": torch.Size([1]),
        "named": torch.nn.Parameter(torch.ones(2)),
    }


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_what_training_leaves_beside_the_weights_is_inert(tmp_path, weights, protocol, zipped):
    content = {"state_dict": weights, **beside()}
    path = save(tmp_path, content, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    forget("strangers")
    loads(path, weights)
    assert "strangers" not in sys.modules


def test_plain_pickle_of_tensors_is_read(tmp_path, weights):
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(weights))
    loads(path, weights)


def test_method_of_a_stranger_is_inert(tmp_path, weights):
    kind = class_of("strangers.logging", "Buffer", mean=lambda self: 1)
    kind.mean.__qualname__, kind.mean.__module__ = "Buffer.mean", "strangers.logging"
    path = save(tmp_path, {"state_dict": weights, "hub": {"mean": kind.mean, "kind": kind}})
    forget("strangers")
    assert b"getattr" in zipfile.ZipFile(path).read("checkpoint/data.pkl")
    loads(path, weights)


NEIGHBOURS = ["torch_npu.utils.storage._rebuild_npu_tensor", "torch_mlu.utils.storage._rebuild_mlu_tensor"]


@pytest.mark.parametrize("function", NEIGHBOURS)
def test_tensors_of_other_devices_are_read_without_their_library(tmp_path, weights, monkeypatch, function):
    module, _, name = function.rpartition(".")

    def rebuild(*args):
        raise AssertionError("run")

    rebuild.__name__ = rebuild.__qualname__ = name
    rebuild.__module__ = module
    class_of(module, "Anything")
    setattr(sys.modules[module], name, rebuild)

    def reduce(self, protocol):
        storage = torch.storage.TypedStorage(wrap_storage=self.untyped_storage(), dtype=self.dtype, _internal=True)
        return rebuild, (storage, 0, tuple(self.size()), self.stride(), False, collections.OrderedDict(), 2)

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "__reduce_ex__", reduce)
        path = save(tmp_path, {"state_dict": weights})
    forget(module.split(".")[0])
    assert function.split(".")[0].encode() in zipfile.ZipFile(path).read("checkpoint/data.pkl")
    loads(path, weights)


# --- what runs something stays refused ---

RUNS = {
    "system": (b"cposix\nsystem\n", b"S'touch %s'\n"),
    "builtins": (b"c__builtin__\neval\n", b'S\'open("%s","w")\'\n'),
    "exec": (b"cbuiltins\nexec\n", b'S\'open("%s","w")\'\n'),
    "open": (b"cio\nopen\n", b"S'%s'\nS'w'\n"),
    "popen": (b"csubprocess\nPopen\n", b"S'touch %s'\n"),
    "runpy": (b"crunpy\nrun_path\n", b"S'%s'\n"),
    "numpy": (b"cnumpy.testing._private.utils\nrunstring\n", b'S\'open("%s","w")\'\n}'),
    "torch": (b"ctorch.hub\nload\n", b"S'%s'\n"),
    "torch.load": (b"ctorch\nload\n", b"S'%s'\n"),
    "timeit": (b"ctimeit\ntimeit\n", b'S\'open("%s","w")\'\n'),
    "attribute": (b"c__builtin__\ngetattr\n(cos\nS'system'\n", b"S'%s'\n"),
    "dotted": (b"\x80\x04\x8c\x07pathlib\x8c\x09os.system\x93", b"\x8c\x01a"),
    "webbrowser": (b"cwebbrowser\nopen\n", b"S'%s'\n"),
    "import": (b"c__builtin__\n__import__\n", b"S'%s'\n"),
    "pip": (b"cpip._internal\nmain\n", b"S'%s'\n"),
}
# Where in the file: beside the weights, in a stand-in's state, its arguments, an array's state, a tensor's parts.
PLACES = {
    "top": b"%s.",
    "entry": b"(dS'extra'\n%ss.",
    "state": b"(dS'args'\nccopy_reg\n_reconstructor\n(cargparse\nNamespace\nc__builtin__\nobject\nNtR(dS'a'\n%ssbs.",
    "argument": b"(dS'a'\ncstrangers\nKind\n(%stRs.",
    "instance": b"(dS'a'\n(istrangers\nKind\n(dS'x'\n%ssbs.",
    "array": b"(dS'a'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1\ntcnumpy\ndtype\n"
    b"(S'f4'\nI0\nI1\ntRI00\n%stbs.",
    "tensor": b"(dS'a'\nctorch._utils\n_rebuild_tensor_v2\n(%sI0\n(t(tI00\nNtRs.",
    "key": b"(d%sI1\ns.",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", RUNS)
@pytest.mark.parametrize("zipped", [True, False])
def test_what_runs_something_is_refused_wherever_it_stands(tmp_path, how, place, zipped):
    trap = tmp_path / "trap"
    function, arguments = RUNS[how]
    call = function + b"(" + arguments.replace(b"%s", str(trap).encode()) + b"tR"
    data = PLACES[place] % call
    path = tmp_path / "checkpoint.pth"
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("checkpoint/data.pkl", data)
            archive.writestr("checkpoint/version", "3\n")
    else:
        path.write_bytes(data)
    line = refusal(path)
    assert "refused: to load it is to run" in line, line
    assert not trap.exists()


CHANGES = {
    "function": b"ctorch._utils\n_rebuild_tensor_v2\n(dS'a'\nI1\nsb.",
    "slots": b"ctorch._utils\n_rebuild_tensor_v2\n(N(dS'run'\nI1\nstb.",
    "class": b"ccollections\nOrderedDict\n(dS'keys'\nI1\nsb.",
    "stand-in": b"cargparse\nNamespace\n(N(dS'__call__'\nI1\nstb.",
    "storage": b"ctorch\nFloatStorage\n(dS'dtype'\nI1\nsb.",
    "result": b"ccopy_reg\n_reconstructor\n(cargparse\nNamespace\nc__builtin__\nobject\nNtR(tR.",
    "extension": b"\x82\x01.",
    "reconstructor": b"ccopy_reg\n_reconstructor\n(c__builtin__\nobject\nc__builtin__\nobject\nNtR.",
}


@pytest.mark.parametrize("how", CHANGES)
def test_pickles_change_nothing_of_this_process(tmp_path, how, weights):
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(CHANGES[how])
    refusal(path)
    (tmp_path / "checkpoint.pth").unlink()
    loads(save(tmp_path, weights), weights)


def test_nested_storage_runs_nothing(tmp_path):
    trap = tmp_path / "trap"
    inner = f"cposix\nsystem\n(S'touch {trap}'\ntR.".encode()
    outer = b"ctorch.storage\n_load_from_bytes\n(C" + bytes([len(inner)]) + inner + b"tR."
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(outer)
    assert "run posix.system" in refusal(path) and not trap.exists()


def test_whole_network_in_a_container_is_named(tmp_path):
    line = refusal(save(tmp_path, {"net": build_network(DEMO)}))
    assert "the entry 'net' is a whole network, refused: to load it is to run" in line and "ResidualNet" in line


# --- containers and prefixes ---

CONTAINERS = {
    "model": lambda state: {"model": state, "epoch": 3},
    "model_state_dict": lambda state: {"model_state_dict": state, "optimizer_state_dict": {"state": {}}},
    "model_state": lambda state: {"model_state": state},
    "net": lambda state: {"net": state, "acc": 0.5},
    "nested": lambda state: {"state_dict": {"model": state}},
    "tuple": lambda state: (state, 3),
    "list": lambda state: [state, {"lr": 0.1}],
    "deep": lambda state: {"checkpoint": {"weights": {"net": state}}},
    "lightning": lambda state: {
        "state_dict": prefixed(state, "model."),
        "pytorch-lightning_version": "2.4.0",
        "hyper_parameters": {"lr": 0.1},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5)}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}}],
    },
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_containers_are_found(tmp_path, weights, kind):
    loads(save(tmp_path, CONTAINERS[kind](weights)), weights)


PREFIXES = ["module.", "module.module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "net."]
PREFIXES += ["network.", "module.model.", "model.module.", "backbone.", "my.own.wrapper.", "model._orig_mod.net."]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_are_found(tmp_path, weights, prefix):
    said = loads(save(tmp_path, {"state_dict": prefixed(weights, prefix)}), weights)
    assert prefix.split(".")[0] in said


def test_wrappers_inside_of_names_are_taken_out(tmp_path, weights):
    inside = {name.replace("layer2.", "layer2._orig_mod."): value for name, value in weights.items()}
    loads(save(tmp_path, inside), weights)


def test_other_modules_beside_the_network_are_left_behind(tmp_path, weights):
    state = {**prefixed(weights, "model."), "criterion.weight": torch.ones(8), "train_acc.correct": torch.tensor(1)}
    said = loads(save(tmp_path, {"state_dict": state}), weights)
    assert "left behind" in said and "criterion" in said


def test_two_networks_in_one_file_are_refused(tmp_path, weights):
    other = {name: value + 1 for name, value in weights.items()}
    line = refusal(save(tmp_path, {**prefixed(weights, "rgb."), **prefixed(other, "flow.")}))
    assert "'rgb.'" in line and "'flow.'" in line


def test_names_that_collide_are_refused(tmp_path, weights):
    zeros = {f"module.{name}": torch.zeros_like(value) for name, value in weights.items()}
    line = refusal(save(tmp_path, {**weights, **zeros}))
    assert "'conv1.weight'" in line and "'module.conv1.weight'" in line
    loads(save(tmp_path, {**weights, **prefixed(weights, "module.")}), weights)


def test_prefix_is_named_where_the_network_is_another_one(tmp_path, weights):
    line = refusal(
        save(tmp_path, {"state_dict": prefixed(weights, "model.")}),
        cards.load("3d_resnet_demo", ["model.arguments.depth=18"]),
    )
    assert "names after 'model.'" in line and "use --set model.arguments.depth=10" in line


def test_head_in_a_sequential_and_pruned_weights(tmp_path, weights):
    state = dict(weights)
    state["fc.1.weight"], state["fc.1.bias"] = state.pop("fc.weight"), state.pop("fc.bias")
    loads(save(tmp_path, state), weights)
    mask = (torch.arange(weights["fc.weight"].numel()) % 2).reshape(weights["fc.weight"].shape).float()
    state = dict(weights)
    state["fc.weight_orig"], state["fc.weight_mask"] = state.pop("fc.weight"), mask
    said = loads(save(tmp_path, state), {**weights, "fc.weight": weights["fc.weight"] * mask})
    assert "1 pruned weights" in said


# --- entries that inference never reads ---

COUNTS = {
    "half": lambda value: value.half(),
    "float": lambda value: value.float() + 0.5,
    "vector": lambda value: value.reshape(1),
    "int32": lambda value: value.int(),
}


@pytest.mark.parametrize("kind", COUNTS)
def test_counts_of_any_kind_are_not_looked_at(tmp_path, weights, kind):
    odd = {name: COUNTS[kind](value) if "num_batches" in name else value for name, value in weights.items()}
    loads(save(tmp_path, odd), weights)


EXTRAS = ["n_averaged", "total_ops", "total_params", "layer1.total_ops", "layer1.0.total_params", "ema_conv1_weight"]
EXTRAS += ["criterion.weight", "cls_head.loss_cls.class_weight", "data_preprocessor.mean", "exp_avg.conv1.weight"]


@pytest.mark.parametrize("name", EXTRAS)
def test_what_training_alone_needs_is_left_behind_and_listed(tmp_path, weights, name):
    said = loads(save(tmp_path, {**weights, name: torch.zeros(3)}), weights)
    assert "left behind" in said and name.split(".")[0] in said


def test_what_looks_like_a_layer_is_refused(tmp_path, weights):
    assert "unexpected: neck.weight" in refusal(save(tmp_path, {**weights, "neck.weight": torch.zeros(3, 3)}))


# --- averages ---


def averaged(weights):
    return {name: value + 1 if value.is_floating_point() else value for name, value in weights.items()}


AVERAGES = {
    "timm": lambda raw, mean: {"state_dict": raw, "state_dict_ema": mean},
    "model_ema": lambda raw, mean: {"model": raw, "model_ema": mean},
    "nested": lambda raw, mean: {"state_dict": raw, "ema": {"module": mean, "decay": 0.99}},
    "mmcv": lambda raw, mean: {"state_dict": {**raw, **{"ema_" + name.replace(".", "_"): mean[name] for name in mean}}},
    "prefix": lambda raw, mean: {"state_dict": {**prefixed(raw, "model."), **prefixed(mean, "ema_model.")}},
    "diffusion": lambda raw, mean: {
        "state_dict": {**prefixed(raw, "net."), **{"model_ema." + name.replace(".", ""): mean[name] for name in mean}}
    },
    # mmengine swaps before it saves: the state dict is the average.
    "mmengine": lambda raw, mean: {"state_dict": mean, "ema_state_dict": prefixed(raw, "module.")},
}


@pytest.mark.parametrize("kind", AVERAGES)
def test_averages_are_said_and_chosen(tmp_path, weights, kind):
    mean = averaged(weights)
    path = save(tmp_path, AVERAGES[kind](weights, mean))
    said = loads(path, weights, average=False)
    assert "averages" in said and "--weights average" in said
    assert "--weights raw" in loads(path, mean, average=True)


def test_without_a_wish_the_weights_of_the_file_are_taken(tmp_path, weights):
    for kind, make in AVERAGES.items():
        wanted = averaged(weights) if kind == "mmengine" else weights
        assert "averages" in loads(save(tmp_path, make(weights, averaged(weights))), wanted)


def test_averages_alone_are_taken_and_said(tmp_path, weights):
    path = save(tmp_path, {"state_dict_ema": weights})
    assert "averages of the weights alone" in loads(path, weights)
    assert "no averages" in refusal(save(tmp_path, weights), average=True)


# --- tensors without values, and formats ---


def test_meta_and_sparse_tensors_are_named(tmp_path, weights):
    meta = {**weights, "fc.weight": weights["fc.weight"].to("meta")}
    assert "fc.weight has no values" in refusal(save(tmp_path, meta))
    sparse = {**weights, "fc.weight": weights["fc.weight"].to_sparse()}
    line = refusal(save(tmp_path, sparse))
    assert "fc.weight is sparse" in line and "to_dense()" in line
    quantised = {**weights, "fc.weight": torch.quantize_per_tensor(weights["fc.weight"], 0.1, 0, torch.qint8)}
    assert "fc.weight is quantised" in refusal(save(tmp_path, quantised))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_safetensors_are_read(tmp_path, weights, dtype):
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "model.safetensors"
    cast = {
        name: value.to(dtype).contiguous() if value.is_floating_point() else value for name, value in weights.items()
    }
    safetensors.save_file(cast, str(path), metadata={"format": "pt"})
    loads(path, cast)
    path.write_bytes(path.read_bytes()[:-4])
    assert "is cut short" in refusal(path)


@pytest.mark.parametrize(
    "header", [b"{", b"{}", b'{"a": 3}', b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}']
)
def test_damaged_safetensors_are_refused(tmp_path, header):
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    refusal(path)


def test_zip_of_another_compression_is_read(tmp_path, weights):
    path = save(tmp_path, {"state_dict": weights})
    again = tmp_path / "again.pth"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(again, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    loads(again, weights)


def inside_a_zip(tmp_path, path):
    with zipfile.ZipFile(tmp_path / "outer.pth", "w") as archive:
        archive.write(path, "save_200.pth")
    return tmp_path / "outer.pth"


def inside_a_tar(tmp_path, path):
    with tarfile.open(tmp_path / "outer.pth.tar", "w") as archive:
        archive.add(path, "save_200.pth")
    return tmp_path / "outer.pth.tar"


def written(name, data):
    def write(tmp_path, path):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def exported(tmp_path, path):
    with zipfile.ZipFile(tmp_path / "model.pt2", "w") as archive:
        archive.writestr("model/archive_format", "pt2")
    return tmp_path / "model.pt2"


FORMATS = {
    "zip": (inside_a_zip, "a zip archive with the file save_200.pth in it"),
    "tar": (inside_a_tar, "a tar archive"),
    "gzip": (written("a.pth.gz", b"\x1f\x8b" + bytes(99)), "compressed with gzip"),
    "h5": (written("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(99)), "an HDF5 file, as Keras writes weights (.h5)"),
    "mxnet": (written("a.params", bytes.fromhex("1201000000000000") + bytes(99)), "a parameter file of MXNet"),
    "lfs": (written("a.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n"), "a pointer of git-lfs"),
    "pt2": (exported, "a program of torch.export (.pt2)"),
    "npy": (written("a.npy", b"\x93NUMPY" + bytes(99)), "a single NumPy array"),
    "onnx": (written("a.onnx", b"\x08\x08\x12\x07pytorch" + bytes(99)), "an ONNX graph"),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_other_formats_are_named(tmp_path, weights, kind):
    write, words = FORMATS[kind]
    line = refusal(write(tmp_path, save(tmp_path, {"a": torch.zeros(1)})))
    assert words in line, line


def test_index_of_a_safetensors_folder_is_no_crash(tmp_path):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {}}))
    refusal(path)


# --- what weights cannot tell ---


def test_hint_says_what_weights_cannot_tell(tmp_path):
    network = build_network(cards.load("3d_resnet_demo", ["model.arguments.depth=18"]))
    line = refusal(save(tmp_path, network.state_dict()))
    assert "weights cannot tell no_max_pool, conv1_t_stride, same_padding: set them as it was trained;" in line
    assert line.endswith("use --set model.arguments.depth=18")


def test_other_classes_are_told_by_the_head_alone(tmp_path, weights):
    state = {**weights, "fc.weight": torch.zeros(5, 64), "fc.bias": torch.zeros(5)}
    assert "use --set model.classes=5" in refusal(save(tmp_path, state))


def test_slots_of_an_optimizer_are_no_weights(tmp_path, weights):
    slots = {f"moments.{name}": value + 1 for name, value in weights.items()}
    assert "left behind" in loads(save(tmp_path, {**weights, **slots}), weights)
    loads(save(tmp_path, {"model": weights, "optim": averaged(weights)}), weights)
