"""What a network runs on: names that people use, as the execution providers of ONNX Runtime.

An accelerator needs another build of ONNX Runtime (`onnxruntime-gpu`, `onnxruntime-directml`, ...). Where it is missing,
or its driver is, the processor does the work, and one line says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UsageError

CPU = "CPUExecutionProvider"

#: device -> provider
DEVICES = {
    "cpu": CPU,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
_AUTO = ("cuda", "directml", "coreml")  # what `auto` looks for, in this order


def check(device: str) -> None:
    """Raise `UsageError` for a name that is no device."""
    if device != "auto" and device not in DEVICES:
        raise UsageError(f"--device {device}: unknown; there are auto, {', '.join(DEVICES)}")


def providers(device: str, available: Sequence[str]) -> list[str]:
    """Return the providers to open a network with, the processor last. available: those that ONNX Runtime was built with."""
    check(device)
    wanted = _AUTO if device == "auto" else (device,)
    found = [DEVICES[name] for name in wanted if DEVICES[name] in available and name != "cpu"]
    return [*found[:1], CPU]


def notice(device: str, used: Sequence[str]) -> str:
    """Return the line to tell when a network that should run on `device` runs on the processor; else "". used: its providers."""
    if device in ("auto", "cpu") or DEVICES[device] in used:
        return ""
    return f"--device {device}: this ONNX Runtime cannot use it here, so the processor does the work"
