import pytest

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec, check_feed

SPEC = TensorSpec("input", "float32", (10, 3, 16, 112, 112), "NCTHW")


def test_bytes_of_the_published_batch() -> None:
    # ten clips of 3x16x112x112 float32 are 24,084,480 bytes (3d_resnet recipe)
    assert SPEC.nbytes == 24_084_480
    assert str(SPEC) == "input float32 10x3x16x112x112 NCTHW"
    assert str(SPEC.with_batch(DYNAMIC)) == "input float32 Nx3x16x112x112 NCTHW"
    with pytest.raises(ValueError, match="symbolic"):
        _ = SPEC.with_batch(DYNAMIC).nbytes


def test_scalar_has_no_batch() -> None:
    accuracy = TensorSpec("output", "float32", (), "")
    assert accuracy.with_batch(4) == accuracy
    assert (str(accuracy), accuracy.nbytes) == ("output float32 scalar", 4)


def test_matching_and_symbolic_batches_pass() -> None:
    check_feed(SPEC, SPEC, "m", "b")
    check_feed(SPEC.with_batch(DYNAMIC), SPEC, "m", "b")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (TensorSpec("image", "float32", SPEC.shape, "NCTHW"), ("for input 'input'", "model's is 'image'")),
        (TensorSpec("input", "uint8", SPEC.shape, "NCTHW"), ("--dtype uint8", "--input-dtype float32")),
        (TensorSpec("input", "float32", (10, 3, 16, 64, 64), "NCTHW"), ("10x3x16x64x64", "same card")),
        (SPEC.with_batch(4), ("hold 10 clips", "compiled for 4", "--batch 10", "--batch 4")),
    ],
)
def test_mismatch_names_both_sides_and_the_remedy(model: TensorSpec, words: tuple) -> None:
    with pytest.raises(RequestError) as caught:
        check_feed(model, SPEC, "model.xml", "batches")
    for word in (*words, "batches against model.xml"):
        assert word in caught.value.line()
