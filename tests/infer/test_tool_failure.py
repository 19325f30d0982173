"""What is quoted of a failed tool's output, and what is advised: outputs as the real tools print them."""

from __future__ import annotations

import pytest

from clip2om.infer.engines.tool_failure import advice, why

BAR = "\rInference Processing:  50%|#####     | 1/2"
EXECUTION = f"""[INFO] acl init success
{BAR}[ACL ERROR] EZ9999: Inner Error!
        The aicore execution is abnormal, rtStreamSynchronize failed
[ERROR] execute model failed, modelId is 1
[ERROR] execute Infer failed ret:-1
Traceback (most recent call last):
  File "interface.py", line 9, in infer
    raise RuntimeError("execute failed")
RuntimeError: [-1][ACL: general failure]
"""
DEVICE = """[ACL ERROR] EE1001: [PID: 7] 2025-03-18-09:02:18.501 The argument is invalid.Reason: Invalid device ID 9.
[ERROR] acl open device 9 failed
[ERROR] Sample process failed
[ERROR] finalize acl failed
"""
MSAME = """[INFO] load model m.om success
EZ9999: Inner Error!
[ERROR] execute model failed, modelId is 1
[ERROR] model execute failed
"""
MSAME_INIT = """[ERROR] acl init failed
[ERROR] Sample init resource failed
[INFO] end to destroy context
[ERROR] reset device failed
"""
# A failed execution leaves its buffers in the data set.
MSAME_GOES_ON = """[INFO] start to process file:input/0/000000.bin
EZ9999: Inner Error!
[ERROR] execute model failed, modelId is 1
[ERROR] model execute failed
[INFO] start to process file:input/0/000001.bin
E13025: The number of inputs or outputs provided by the user is inconsistent with that required by the model
[ERROR] execute model failed, modelId is 1
"""
TABLE = """Usage: python -m ais_bench [OPTIONS]
\u256d\u2500 Error \u2500\u2500\u2500\u2500\u2500\u2500\u256e
\u2502 No such option: --output_dirname \u2502
\u2570\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u256f
"""


@pytest.mark.parametrize(
    ("console", "line"),
    [
        (EXECUTION, "[ERROR] execute model failed, modelId is 1; ACL says: EZ9999: Inner Error!"),
        (MSAME, "[ERROR] execute model failed, modelId is 1; ACL says: EZ9999: Inner Error!"),
        (f"{BAR}[ACL ERROR] (null)\n[ERROR] execute model failed\n", "[ERROR] execute model failed"),
        (f"{BAR}[ERROR] load model failed\n[ERROR] Sample process failed\n", "[ERROR] load model failed"),
        ("[INFO] a\nTraceback\nOverflowError: get list part failed\n", "OverflowError: get list part failed"),
        ("usage: x\nx: error: argument -m: path:/a is illegal\n", "x: error: argument -m: path:/a is illegal"),
        (TABLE, "No such option: --output_dirname"),
        ("a\nValueError: b\nc\n", "ValueError: b"),
        ("a\nb\n", "b"),
        ("", "no output"),
    ],
)  # fmt: skip
def test_the_line_that_says_most(console: str, line: str) -> None:
    assert why(console) == line


def test_a_device_that_does_not_exist_is_said_first() -> None:
    assert why(DEVICE).startswith("[ERROR] acl open device 9 failed; ACL says: EE1001: ")
    assert "Invalid device ID 9" in why(DEVICE)


@pytest.mark.parametrize(
    ("console", "todo", "not_todo"),
    [
        (EXECUTION, "plog", "atc.log"),
        (MSAME, "plog", "atc.log"),
        ("EE9999: Inner Error!", "plog", "atc.log"),
        (DEVICE, "npu-smi info -m", "compile again"),
        ("[ERROR] create context failed. ret=107001", "npu-smi info -m", "compile again"),
        ("[ERROR] open device 3 failed", "npu-smi info -m", "compile again"),
        ("EE1001: Reason: ModelCheckCompatibility failed, supported socVersion=Ascend310B4", "SOC=auto", "npu-smi"),
        ("[ERROR] load model from file failed, model file is x.om", "compile again on this host", "log"),
        ("UnboundLocalError: cannot access local variable 'aclruntime_version'", "setuptools<82", "log"),
        ("OverflowError: file count under directory: in is over 100000!", "--layout packed", "log"),
        ("ImportError: libascendcl.so: cannot open", "set_env.sh", "log"),
        (MSAME_INIT, "make doctor", "npu-smi info -m"),
        (MSAME_GOES_ON, "plog", "manifest"),
        ("what?", "the log has all of its output", "plog"),
    ],
)
def test_advice_fits_the_stage(
    console: str, todo: str, not_todo: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = advice(console, "Ascend310P3")
    assert todo in found
    assert not_todo not in found
