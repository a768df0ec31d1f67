"""The model folder: `model.onnx`, `config.json`, `card.md`. Read, write, check; nothing in it is ever run as code.

Files are opened without following links, no further than their limits, and held against the checksums in `config.json`;
the network is looked through (onnxfile.py) before ONNX Runtime gets its bytes. Only the model inside the package, which
is as trusted as the code beside it, is spared that look.

The network reads `features` (batch, frames, width) and gives `logits` (batch, outputs) and, when it predicts over time,
`frame_logits` (batch, steps, outputs), perhaps with the `attention` it pays to each. Probabilities are
`activation(scale * logit + bias)`, by label; how those over time become a recording's: pooling.py.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError, WhoplaysError
from ..runtime.packages import needed
from ..storage.files import make_folder, sha256_of, write_atomically, write_json
from . import device as devices
from .config import Calibration, ModelConfig
from .pooling import sigmoid, softmax

NETWORK, CONFIG, CARD = "model.onnx", "config.json", "card.md"
#: The network's output that describes the sound over time, where the model has one.
EMBEDDING = "embedding"
MAX_EMBEDDING = 4096
MAX_NETWORK_BYTES = 1 << 30
MAX_CONFIG_BYTES = 4 << 20
MAX_CARD_BYTES = 4 << 20
MAX_MEMORY = 4 << 30  # bytes that all networks of a process may take while they compute

Folder = str | os.PathLike[str]

#: The model inside the package.
DEFAULT = Path(__file__).parents[1] / "pretrained" / "default"


@dataclass(frozen=True)
class Bundle:
    """A model folder that was read and checked. sha256: name of a file in it -> its checksum."""

    folder: Path
    config: ModelConfig
    sha256: Mapping[str, str] = field(default_factory=dict)

    @property
    def network(self) -> Path:
        """The ONNX file."""
        return self.folder / NETWORK

    def content(self, name: str) -> bytes:
        """Return a file of the folder, which must still have its checksum; a network is looked through (onnxfile.py).

        Raises `ModelError` with the folder's name.
        """
        try:
            content = _verified(self.folder, name, self.sha256)
        except ModelError as error:
            raise ModelError(f"{self.folder}: {error}") from None
        if name == NETWORK:
            _look_through(self.folder, content)
        return content


def write(folder: Path, config: ModelConfig, network: bytes, card: str) -> Bundle:
    """Write a model folder; config.json, with the checksums, comes last and makes it valid. Raises `WhoplaysError`."""
    folder = make_folder(Path(folder))
    write_atomically(folder / NETWORK, network)
    write_atomically(folder / CARD, card.rstrip() + "\n")
    checksums = {name: sha256_of(folder / name) for name in (NETWORK, CARD)}
    write_json(folder / CONFIG, {**config.to_dict(), "sha256": checksums})
    return Bundle(folder, config, checksums)


def read(folder: Folder | None = None) -> Bundle:
    """Read and check a model folder (None: the model inside the package). Raises `ModelError` with the folder's name."""
    return _read_named(folder)[0]


def load(folder: Folder | None = None, *, threads: int = 1, device: str = "cpu") -> tuple[Bundle, Network]:
    """Read a model folder and open its network: `read` and `Network`, with the file read and hashed once."""
    bundle, content = _read_named(folder)
    _look_through(bundle.folder, content)
    return bundle, Network(bundle, threads=threads, device=device, content=content)


def _read_named(folder: Folder | None) -> tuple[Bundle, bytes]:
    folder = DEFAULT if folder is None else Path(folder)
    try:
        return _read(folder)
    except WhoplaysError as error:
        problem = ModelError(f"{folder}: {error}")
    except OSError as error:
        problem = ModelError(f"{folder}: cannot be read ({error.strerror or error})")
    problem.path = str(folder)
    raise problem


def _look_through(folder: Path, content: bytes) -> None:
    if folder == DEFAULT:
        return
    from . import onnxfile

    try:
        onnxfile.inspect(content)
    except ModelError as error:
        raise ModelError(f"{folder / NETWORK}: {error}") from None


def _read(folder: Path) -> tuple[Bundle, bytes]:
    """Return the folder, and its network's bytes as they were hashed."""
    if not folder.is_dir():
        raise ModelError("no such model folder" if not folder.exists() else "is a file; name the model's folder")
    for name in (CONFIG, NETWORK):
        if not os.path.lexists(folder / name):
            raise ModelError(f"is not a model folder: {name} is missing")
    try:
        values = json.loads(_content(folder, CONFIG).decode(), parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{CONFIG} is not JSON ({error})") from None
    if not isinstance(values, dict):
        raise ModelError(f"{CONFIG} is not a JSON object")
    config = ModelConfig.from_dict(values)
    expected = values.get("sha256")
    if not isinstance(expected, dict) or not isinstance(expected.get(NETWORK), str):
        raise ModelError(f"{CONFIG} holds no checksum of {NETWORK}; write the model again")
    network = _verified(folder, NETWORK, expected)
    return Bundle(folder, config, expected), network


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):  # NaN, Infinity, 1e999
        raise ValueError(f"{text[:20]} is no number of JSON")
    return number


_LIMITS = {NETWORK: MAX_NETWORK_BYTES, CONFIG: MAX_CONFIG_BYTES, CARD: MAX_CARD_BYTES}


def _content(folder: Path, name: str) -> bytes:
    """Return a file of the folder: one that lies there itself, and is no larger than it may be. Raises `ModelError`."""
    path, limit = folder / name, _LIMITS[name]
    if path.is_symlink():
        raise ModelError(f"{name} is a link; put the file itself into the folder (cp -L)")
    # A link or a pipe put there since is not followed, or waited for.
    careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(path, os.O_RDONLY | careful), "rb") as file:  # noqa: PTH123 - of a descriptor
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ModelError(f"{name} is no file")
            if found.st_size > limit:
                raise ModelError(f"{name} has {found.st_size:,} bytes; at most {limit:,} are read")
            return file.read(found.st_size)
    except OSError as error:
        raise ModelError(f"{name} cannot be read ({error.strerror or error})") from None


def _verified(folder: Path, name: str, expected: Mapping[str, str]) -> bytes:
    content = _content(folder, name)
    if hashlib.sha256(content).hexdigest() != expected.get(name):
        raise ModelError(
            f"{name} is not the file that {CONFIG} was written for (checksum differs); copy the folder again"
        )
    return content


class Network:
    """The folder's ONNX network: features -> probabilities. The only user of ONNX Runtime beside the export check."""

    def __init__(self, bundle: Bundle, *, threads: int = 1, device: str = "cpu", content: bytes | None = None) -> None:
        """Open the network on `device` (device.py), or fall back to the CPU, with a `notice`.

        content: the network's bytes, hashed and looked through (None: read them now).
        Raises `ModelError` when it cannot be run or does not fit its configuration, `UsageError` for an unknown device.
        """
        onnxruntime = _onnxruntime()
        devices.check(device)
        self.config = bundle.config
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.load_model_format", "ONNX")  # as it was looked through, no other
        options.add_session_config_entry("session.use_env_allocators", "1")
        limit_memory()
        content = bundle.content(NETWORK) if content is None else content
        try:
            # Constants are computed when they are needed, within the limit: folding them beforehand knows none.
            self._session = onnxruntime.InferenceSession(
                content,
                options,
                providers=devices.providers(device, onnxruntime.get_available_providers()),
                disabled_optimizers=["ConstantFolding"],
                enable_fallback=0,  # it would print to standard output
            )
        except Exception as error:  # ONNX Runtime raises kinds of its own
            raise ModelError(f"{bundle.network}: is not a network that can be run ({_first_line(error)})") from None
        self.notice = devices.notice(device, self._session.get_providers())
        self._check(bundle)

    def _check(self, bundle: Bundle) -> None:
        for value in (*self._session.get_inputs(), *self._session.get_outputs()):
            if value.type != "tensor(float)":
                raise ModelError(f"{bundle.network}: {value.name[:60]!r} is {value.type[:60]}; tensor(float) is needed")
        inputs = {value.name: value.shape for value in self._session.get_inputs()}
        outputs = {value.name: value.shape for value in self._session.get_outputs()}
        if set(inputs) != {"features"} or "logits" not in outputs:
            raise ModelError(
                f"{bundle.network}: reads {sorted(inputs)} and gives {sorted(outputs)}; features and logits are needed"
            )
        dimensions = {"features": 3, "logits": 2, "frame_logits": 3, "attention": 3, EMBEDDING: 3}
        for name, shape in {**inputs, **outputs}.items():
            if name in dimensions and len(shape) != dimensions[name]:
                raise ModelError(f"{bundle.network}: {name} has {len(shape)} dimensions; {dimensions[name]} are needed")
        width, found = inputs["features"][-1], outputs["logits"][-1]
        if width not in (None, self.config.features.n_features) and isinstance(width, int):
            raise ModelError(
                f"{bundle.network}: reads {width} values a frame, its configuration says {self.config.features.n_features}"
            )
        wanted = len(self.config.labels) + len(self.config.context)
        if isinstance(found, int) and found != wanted:
            raise ModelError(f"{bundle.network}: gives {found} scores, its configuration names {wanted} labels")
        self.over_time = "frame_logits" in outputs
        self.attends = self.over_time and "attention" in outputs
        width = outputs.get(EMBEDDING, [0])[-1]
        if not isinstance(width, int) or not 0 <= width <= MAX_EMBEDDING:
            raise ModelError(
                f"{bundle.network}: its embedding has {str(width)[:20]} values; 1 to {MAX_EMBEDDING} are possible"
            )
        self.embedding_width = width
        self._outputs = ["logits", *["frame_logits"][: self.over_time], *["attention"][: self.attends]]

    def run(self, features: NDArray[np.float32], *, embed: bool = False) -> dict[str, NDArray[np.float32]]:
        """Return the network's own numbers, before calibration.

        Parameters
        ----------
        features : ndarray, shape (batch, frames, width)
        embed : bool
            Whether to return "embedding" (batch, steps, width) as well.

        Returns
        -------
        dict
            "logits" (batch, outputs); "frame_logits" (batch, steps, outputs), one step where the network gives no scores
            over time; "attention" like them, where the network gives it. Outputs: the labels, then the context.

        Raises
        ------
        ModelError
            When the network fails, or gives what its graph did not promise, or no numbers.
        """
        names = [*self._outputs, EMBEDDING] if embed else self._outputs
        try:
            values = self._session.run(names, {"features": np.ascontiguousarray(features, dtype=np.float32)})
        except Exception as error:
            reason = _first_line(error)
            if "Available memory of" in str(error):
                reason = f"it needs more memory than the {MAX_MEMORY >> 30} GiB that networks may take"
            raise ModelError(f"the network of {self.config.id} failed ({reason})") from None
        found = dict(zip(names, values, strict=True))
        self._check_answer(found, features)
        if embed:
            self._check_embedding(found[EMBEDDING], features)
        found.setdefault("frame_logits", found["logits"][:, None])
        return found

    def require_embedding(self) -> None:
        """Raise `ModelError` unless the model has an embedding."""
        if not self.embedding_width:
            raise ModelError(f"the model {self.config.id} has no embedding; use a model of the recipe default")

    def _check_embedding(self, found: NDArray[np.float32], features: NDArray[np.float32]) -> None:
        steps = found.shape[1] if found.ndim == 3 else 0
        if not 1 <= steps <= features.shape[1] or found.shape != (len(features), steps, self.embedding_width):
            raise ModelError(f"the network of {self.config.id} gave an embedding of shape {found.shape}")
        if not np.isfinite(found).all():
            raise ModelError(f"the network of {self.config.id} gave an embedding that is no numbers (NaN or infinite)")

    def _check_answer(self, found: dict[str, NDArray[np.float32]], features: NDArray[np.float32]) -> None:
        """Refuse an answer that is not of the shape the graph promised, or no numbers: a graph can promise anything."""
        batch, outputs = len(features), len(self.config.labels) + len(self.config.context)
        if found["logits"].shape != (batch, outputs):
            raise ModelError(
                f"the network of {self.config.id} gave scores of shape {found['logits'].shape}, not {(batch, outputs)}"
            )
        for name in self._outputs[1:]:
            shape = found[name].shape
            fits = len(shape) == 3 and shape[0::2] == (batch, outputs) and 1 <= shape[1] <= max(features.shape[1], 1)
            if not fits or shape != found["frame_logits"].shape:
                wanted = f"({batch}, 1 to {features.shape[1]}, {outputs})"
                raise ModelError(f"the network of {self.config.id} gave {name} of shape {shape}, not {wanted}")
        if not all(np.isfinite(answer).all() for answer in found.values()):
            raise ModelError(f"the network of {self.config.id} gave scores that are not numbers (NaN or infinite)")

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the network itself says of whole windows: calibrated probabilities (batch, labels)."""
        assert self.config.calibration
        whole = self.run(features)["logits"][:, : len(self.config.labels)]
        return self._raised(activate(whole, self.config.activation, self.config.calibration))

    def frame_scores(self, frame_logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return calibrated probabilities (steps, labels) from what `run` gave for each step (steps, outputs)."""
        assert self.config.frame_calibration
        known = frame_logits[:, : len(self.config.labels)]
        return self._raised(activate(known, self.config.activation, self.config.frame_calibration))

    def _raised(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores in which no family has less than one of its instruments."""
        return self.config.tree.raise_families(scores).astype(np.float32, copy=False)

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores (batch, labels) of recordings of one window each, features (batch, frames, width)."""
        found = self.run(features)
        steps = found["frame_logits"].shape[1]
        step_s = np.full(steps, features.shape[1] * self.config.features.frame_s / steps)
        recordings = zip(found["frame_logits"], found.get("attention", [None] * len(features)), strict=True)
        scores = [self.config.recording_scores(logits, weights, step_s) for logits, weights in recordings]
        return np.stack(scores).astype(np.float32)


def _onnxruntime() -> Any:
    with needed("running a model"):
        import onnxruntime
    return onnxruntime


@lru_cache(maxsize=1)
def limit_memory() -> None:
    """Bound, once for the process, what networks take while they compute: ONNX Runtime's arena, shared by all of them."""
    onnxruntime = _onnxruntime()
    where = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(where, onnxruntime.OrtArenaCfg({"max_mem": MAX_MEMORY}))


def activate(logits: NDArray[np.float32], activation: str, calibration: Calibration) -> NDArray[np.float32]:
    """Return probabilities (..., labels) of logits (..., labels): scaled, shifted, then sigmoid or softmax."""
    z = logits.astype(np.float64) * np.asarray(calibration.scale) + np.asarray(calibration.bias)
    return (softmax(z) if activation == "softmax" else sigmoid(z)).astype(np.float32)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
