"""Is this a model folder to be trusted with recordings? Everything that can be verified, reported line by line.

The file is read and looked through here; it is opened and run in a process of its own that has given up memory
beyond a limit, time beyond a limit and the writing of files, so that a file which breaks ONNX Runtime breaks that alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MissingExtraError, ModelError
from ..runtime.sandbox import confine, how_ended, unlimited
from . import folder as model_folder
from . import onnxfile
from .config import FORMAT

MEMORY = model_folder.MAX_MEMORY  # bytes the trial may take beyond what starting takes
TIME_S = 60  # of the processor
_FILES = (model_folder.CONFIG, model_folder.NETWORK, model_folder.CARD)


def check(folder: Path) -> Iterator[str]:
    """Yield what was verified, a line at a time, the cheapest first. Raises `ModelError` at what is wrong."""
    found = model_folder.read(folder)
    config = found.config
    ids = [label.id for label in config.labels]
    yield f"{config.id}: format {FORMAT}, {len(ids)} labels: {', '.join(ids[:8])}{' ...' if len(ids) > 8 else ''}"
    for name in (model_folder.NETWORK, model_folder.CARD):
        if name not in found.sha256:
            raise ModelError(f"{folder}: {model_folder.CONFIG} holds no checksum of {name}; write the model again")
        size = len(found.content(name))
        yield f"{name}: {size:,} bytes, as {model_folder.CONFIG} has their checksum"
    try:
        contents = onnxfile.inspect(found.content(model_folder.NETWORK))
    except ModelError as error:
        raise ModelError(f"{found.network}: {error}") from None
    yield (
        f"{model_folder.NETWORK}: {contents.nodes} operators of {len(contents.operators)} kinds, all arithmetic; "
        f"{contents.numbers:,} finite numbers in {contents.tensors} tensors, none outside the file"
    )
    if missing := unlimited():
        yield f"{missing}; the trial of the network is not confined"
    trial = _try(found.folder)
    yield (
        f"opened in {trial['load_s']:.2f} s and predicted {config.window_s:g} s of noise in {trial['predict_s']:.2f} s, "
        f"with {trial['memory_mb']:.0f} MiB"
    )
    if others := sorted({entry.name for entry in folder.iterdir()} - set(_FILES)):
        yield f"not looked at: {', '.join(map(ascii, others[:5]))}{' ...' if len(others) > 5 else ''}"


def _try(folder: Path) -> dict[str, Any]:
    """Return what `python -m whoplays.model.check FOLDER` prints. Raises `ModelError` for what it says, or how it ended."""
    # -P: nothing is imported from the folder one happens to be in.
    command = [sys.executable, "-P", "-m", __name__, str(folder.resolve())]
    try:
        ended = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=4 * TIME_S, check=False)
    except subprocess.TimeoutExpired:
        raise ModelError(f"{folder}: running {model_folder.NETWORK} took longer than {4 * TIME_S} s") from None
    if ended.returncode < 0 or ended.returncode > 0xFF:
        what = how_ended(ended.returncode)
        raise ModelError(f"{folder}: {model_folder.NETWORK} ended the process that tried it ({what}); do not use it")
    try:
        report: dict[str, Any] = json.loads(ended.stdout)
    except ValueError:
        last = (ended.stderr.decode("utf-8", "replace").strip().splitlines() or ["no word"])[-1][:200]
        raise ModelError(f"{folder}: {model_folder.NETWORK} could not be tried ({last})") from None
    if "error" in report:
        raise ModelError(report["error"])
    return report


def _memory_mb() -> float:
    try:
        import resource
    except ImportError:
        return 0.0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20) if sys.platform == "darwin" else most / 1024


def _trial(folder: Path) -> dict[str, Any]:
    model_folder.limit_memory()  # loads ONNX Runtime: what it takes to start is not the model's
    confine(MEMORY, processor_s=TIME_S)
    before, began = _memory_mb(), time.monotonic()
    found = model_folder.read(folder)
    network = model_folder.Network(found)
    loaded = time.monotonic()
    settings = found.config.features
    frames = settings.frames(round(found.config.window_s * settings.sample_rate))
    noise = np.random.default_rng(0).normal(0, 1, (1, frames, settings.n_features)).astype(np.float32)
    network.run(noise)
    ended, memory_mb = time.monotonic(), max(0.0, _memory_mb() - before)
    return {"load_s": loaded - began, "predict_s": ended - loaded, "memory_mb": memory_mb}


if __name__ == "__main__":
    try:
        print(json.dumps(_trial(Path(sys.argv[1]))))
    except (ModelError, MissingExtraError) as error:
        print(json.dumps({"error": str(error)}))
    except MemoryError:
        print(json.dumps({"error": f"{sys.argv[1]}: needs more than {MEMORY >> 30} GiB of memory"}))
