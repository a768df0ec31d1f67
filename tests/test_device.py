"""Devices: names to providers, and what happens on a machine that has only its processor."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from test_cli import run

import whoplays
from conftest import COMMAND_S
from whoplays.errors import UsageError
from whoplays.model import device

CUDA, COREML = device.DEVICES["cuda"], device.DEVICES["coreml"]


@pytest.mark.parametrize(
    ("name", "available", "expected"),
    [
        ("cpu", [CUDA, device.CPU], [device.CPU]),
        ("cuda", [CUDA, device.CPU], [CUDA, device.CPU]),
        ("cuda", [device.CPU], [device.CPU]),
        ("auto", [device.CPU], [device.CPU]),
        ("auto", [COREML, CUDA, device.CPU], [CUDA, device.CPU]),
        ("auto", [COREML, device.CPU], [COREML, device.CPU]),
    ],
)
def test_a_name_becomes_providers_with_the_processor_last(name: str, available: list[str], expected: list[str]) -> None:
    assert device.providers(name, available) == expected


def test_an_unknown_device_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="auto, cpu, cuda"):
        device.providers("gpu", [device.CPU])


def test_only_a_requested_device_that_is_not_used_is_reported() -> None:
    assert device.notice("cuda", [CUDA, device.CPU]) == ""
    assert device.notice("auto", [device.CPU]) == "" == device.notice("cpu", [device.CPU])
    assert "--device cuda" in device.notice("cuda", [device.CPU])


def test_the_command_falls_back_with_one_line(tiny_model: Path, duet: Path) -> None:
    plain = run("predict", duet, "--model", tiny_model, "--format", "jsonl")
    for name in ("auto", "migraphx"):
        done = run("predict", duet, "--model", tiny_model, "--format", "jsonl", "--device", name)
        assert (done.returncode, done.stdout) == (0, plain.stdout)
        assert len(done.stderr.splitlines()) == (0 if name == "auto" else 1), done.stderr
    wrong = run("predict", duet, "--device", "abacus")
    assert wrong.returncode == 2 and len(wrong.stderr.splitlines()) == 1


def test_python_can_choose(tiny_model: Path, duet: Path) -> None:
    chosen = whoplays.load(tiny_model, device="auto")
    assert chosen.predict(duet).scores == whoplays.load(tiny_model).predict(duet).scores


def test_the_server_falls_back_with_one_line(tiny_model: Path, duet: Path) -> None:
    command = [sys.executable, "-m", "whoplays", "serve", "--port", "0", "--jobs", "2", "--device", "migraphx"]
    process = subprocess.Popen([*command, "--model", str(tiny_model)], stderr=subprocess.PIPE, text=True)
    assert process.stderr
    lines = [process.stderr.readline(), process.stderr.readline()]
    address = next(line for line in lines if "listening" in line).split(" at ")[1].split()[0]
    with duet.open("rb") as file:
        answer = httpx.post(f"{address}v1/predict", files={"file": file}, timeout=COMMAND_S, trust_env=False).json()
    process.send_signal(signal.SIGTERM)
    lines += process.communicate(timeout=COMMAND_S)[1].splitlines()
    assert answer["scores"] == pytest.approx(whoplays.load(tiny_model).predict(duet).scores, abs=1e-4)
    assert sum("--device migraphx" in line for line in lines) == 1, lines
    wrong = run("serve", "--port", "0", "--device", "abacus")
    assert wrong.returncode == 2 and len(wrong.stderr.splitlines()) == 1 and "abacus" in wrong.stderr
