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
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError, WhoplaysError, require
from ..features import FeatureSettings
from ..inference.segmentation import TimelineSettings
from ..storage.files import make_folder, sha256_of, write_atomically, write_json
from ..taxonomy.tree import Label, Tree
from . import device as devices
from .pooling import Pooling, sigmoid, softmax

FORMAT = 2
NETWORK, CONFIG, CARD = "model.onnx", "config.json", "card.md"
MAX_NETWORK_BYTES = 1 << 30
MAX_CONFIG_BYTES = 4 << 20
MAX_CARD_BYTES = 4 << 20
MAX_MEMORY = 4 << 30  # bytes that all networks of a process may take while they compute
MAX_NUMBERS = 1 << 28  # of a window's samples, spectrum or pooling: 1 GiB
MAX_NAME = 100  # characters of the model's name and version

#: The model inside the package.
DEFAULT = Path(__file__).parents[1] / "pretrained" / "default"


@dataclass(frozen=True)
class Calibration:
    """probability = activation(scale * logit + bias), one pair a label (Platt 1999; scale alone is temperature scaling)."""

    scale: tuple[float, ...]
    bias: tuple[float, ...]

    @classmethod
    def identity(cls, n_labels: int) -> Self:
        """Return the calibration that changes nothing."""
        return cls((1.0,) * n_labels, (0.0,) * n_labels)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """All that a model carries beside its weights.

    activation: "sigmoid" (independent) or "softmax" (the labels share one unit of probability).
    window_s: seconds the network reads at once. context_s: seconds at each end of a window that it does not answer for;
    the windows before and after do. context: what the network's outputs after the labels stand for: trained, not good
    enough to be named, but known to the pooling's correction. pooling: from scores over time to the score of a recording
    (None: their mean).
    min_window_s, padding: a recording shorter than `min_window_s` is filled up, with "zeros" or by "repeat".
    thresholds: a label plays from its score upwards; maybe: it may play from this lower one upwards (() for none).
    calibration: of the network's logits for a whole window. frame_calibration: of those over time.
    training: facts for people (material, seed, epochs, quality); nothing reads them to decide.
    """

    name: str
    version: str
    labels: tuple[Label, ...]
    features: FeatureSettings
    activation: str = "sigmoid"
    window_s: float = 10.0
    min_window_s: float = 0.0
    padding: str = "zeros"
    context_s: float = 0.0
    context: tuple[str, ...] = ()
    pooling: Pooling | None = None
    thresholds: tuple[float, ...] = ()
    maybe: tuple[float, ...] = ()
    calibration: Calibration | None = None
    frame_calibration: Calibration | None = None
    timeline: TimelineSettings = field(default_factory=TimelineSettings)
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fill in what was left out, and refuse what does not fit together."""
        n = len(self.labels)
        if not self.thresholds:
            object.__setattr__(self, "thresholds", (0.5,) * n)
        lower = zip(self.maybe or self.thresholds, self.thresholds, strict=False)
        object.__setattr__(self, "maybe", tuple(min(pair) for pair in lower))
        if self.pooling is None:
            object.__setattr__(self, "pooling", Pooling.plain(n))
        if self.calibration is None:
            object.__setattr__(self, "calibration", Calibration.identity(n))
        if self.frame_calibration is None:
            object.__setattr__(self, "frame_calibration", self.calibration)
        try:
            tree = Tree(self.labels)
        except ValueError as error:
            raise ModelError(f"model configuration: {error}") from None
        assert self.pooling and self.calibration and self.frame_calibration
        pooling, outputs = self.pooling, n + len(self.context)
        pairs = [p for c in (self.calibration, self.frame_calibration, pooling) for p in (c.scale, c.bias)]
        checks = [
            (1 <= n <= 1000, f"{n} labels; 1 to 1000 are possible"),
            (
                all(map(_is_name, (self.name, self.version))),
                f"a name is empty, longer than {MAX_NAME} or not one printable line",
            ),
            (self.activation in ("sigmoid", "softmax"), f"activation is {self.activation!r}, not sigmoid or softmax"),
            (
                self.activation == "sigmoid" or len(tree.families) == n,
                "the labels of a softmax exclude each other, so none can be below another; sigmoid is needed",
            ),
            (0 <= pooling.share <= 1, f"pooling takes a share of {pooling.share} of the time, not 0 to 1"),
            (0 <= pooling.span_s <= 600, f"pooling averages over {pooling.span_s} s; 0 to 600 s are possible"),
            (
                len(pooling.correction) in (0, n)
                and all(len(row) == outputs and all(map(math.isfinite, row)) for row in pooling.correction),
                f"pooling's correction needs {n} rows of {outputs} finite numbers",
            ),
            (self.padding in ("zeros", "repeat"), f"padding is {self.padding!r}, not zeros or repeat"),
            (0.1 <= self.window_s <= 600, f"window_s is {self.window_s}; 0.1 to 600 s are possible"),
            (0 <= self.context_s <= 0.4 * self.window_s, f"context_s {self.context_s} is outside 0 to 0.4 of window_s"),
            (0 <= self.min_window_s <= self.window_s, f"min_window_s {self.min_window_s} is outside 0 to window_s"),
            (
                not 0.1 <= self.window_s <= 600 or _numbers(self.features, self.window_s) <= MAX_NUMBERS,
                f"a window of {self.window_s} s makes more than {MAX_NUMBERS:,} numbers with its features' settings",
            ),
            (
                len(self.thresholds) == n and all(0 <= t <= 1 for t in self.thresholds),
                f"{n} thresholds from 0 to 1 are needed",
            ),
            (
                len(self.maybe) == n and all(0 <= m <= 1 for m in self.maybe),
                f"{n} numbers from 0 to 1 are needed for maybe",
            ),
            (
                all(len(p) == n and all(map(math.isfinite, p)) for p in pairs),
                f"calibration needs {n} finite numbers each",
            ),
        ]
        require(checks, ModelError, "model configuration: {}")

    @cached_property
    def tree(self) -> Tree:
        """The labels as a tree."""
        return Tree(self.labels)

    def recording_scores(
        self, logits: NDArray[np.floating[Any]], attention: NDArray[np.floating[Any]] | None, lengths: NDArray[Any]
    ) -> NDArray[np.floating[Any]]:
        """Return a recording's scores (labels,) from the network's numbers over time; arguments as of `Pooling.scores`.

        No family has less than one of its instruments.
        """
        assert self.pooling
        return self.tree.raise_families(self.pooling.scores(logits, attention, lengths, activation=self.activation))

    @property
    def id(self) -> str:
        """name@version, as predictions name the model."""
        return f"{self.name}@{self.version}"

    def to_dict(self) -> dict[str, Any]:
        """Return what `config.json` holds (without the checksums)."""
        assert self.calibration and self.frame_calibration and self.pooling
        return {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "labels": [label.to_dict() for label in self.labels],
            "activation": self.activation,
            "features": self.features.to_dict(),
            "window_s": self.window_s,
            "min_window_s": self.min_window_s,
            "padding": self.padding,
            "context_s": self.context_s,
            "context": list(self.context),
            "pooling": self.pooling.to_dict(),
            "thresholds": list(self.thresholds),
            "maybe": list(self.maybe),
            "calibration": _calibration_to_dict(self.calibration),
            "frame_calibration": _calibration_to_dict(self.frame_calibration),
            "timeline": self.timeline.to_dict(),
            "training": dict(self.training),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote. Raises `ModelError` for another format, a missing or an impossible value."""
        version = values.get("format")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise ModelError("config.json has no format number; it was not written by whoplays")
        if version > FORMAT:
            raise ModelError(
                f"the model is of format {version}; this whoplays reads format {FORMAT}: pip install -U whoplays"
            )
        if version < FORMAT:
            raise ModelError(f"the model is of format {version}; this whoplays reads format {FORMAT}: train it again")
        try:
            return cls(
                name=_text(values["name"]),
                version=_text(values["version"]),
                labels=tuple(Label.from_dict(label) for label in values["labels"]),
                activation=values["activation"],
                features=FeatureSettings.from_dict(values["features"]),
                window_s=float(values["window_s"]),
                min_window_s=float(values.get("min_window_s", 0.0)),
                padding=values.get("padding", "zeros"),
                context_s=float(values.get("context_s", 0.0)),
                context=tuple(_text(v) for v in values.get("context", ())),
                pooling=Pooling.from_dict(values["pooling"]),
                thresholds=tuple(float(v) for v in values["thresholds"]),
                maybe=tuple(float(v) for v in values.get("maybe", ())),
                calibration=_calibration_from_dict(values["calibration"]),
                frame_calibration=_calibration_from_dict(values.get("frame_calibration") or values["calibration"]),
                timeline=TimelineSettings.from_dict(values.get("timeline", {})),
                training=dict(values.get("training", {})),
            )
        except KeyError as error:
            raise ModelError(f"config.json lacks {error.args[0]!r}") from None
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ModelError(f"config.json holds a value of the wrong kind ({error})") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text is needed, not {str(value)[:40]!r}")
    return value


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME and text.isprintable()


def _numbers(settings: FeatureSettings, window_s: float) -> float:
    """Return the greatest number of values that predicting a window (at most 3/2 of `window_s`) holds at once."""
    samples = 1.5 * window_s * settings.sample_rate
    frames = 1 + samples / settings.hop_length
    return max(samples, frames * (1 + settings.n_fft // 2), frames * (settings.steps or 0))


def _calibration_to_dict(calibration: Calibration) -> dict[str, list[float]]:
    return {"scale": list(calibration.scale), "bias": list(calibration.bias)}


def _calibration_from_dict(values: dict[str, Any]) -> Calibration:
    return Calibration(tuple(float(v) for v in values["scale"]), tuple(float(v) for v in values["bias"]))


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


def update(folder: Path, **changes: Any) -> Bundle:
    """Write the folder anew with some of its configuration changed (thresholds, calibration ...), the network as it is."""
    bundle = read(folder)
    card = _content(bundle.folder, CARD).decode("utf-8", "replace")
    return write(bundle.folder, replace(bundle.config, **changes), bundle.content(NETWORK), card)


def read(folder: Path | str | None = None) -> Bundle:
    """Read and check a model folder (None: the model inside the package). Raises `ModelError` with the folder's name."""
    return _read_named(folder)[0]


def load(folder: Path | str | None = None, *, threads: int = 1, device: str = "cpu") -> tuple[Bundle, Network]:
    """Read a model folder and open its network: `read` and `Network`, with the file read and hashed once."""
    bundle, content = _read_named(folder)
    _look_through(bundle.folder, content)
    return bundle, Network(bundle, threads=threads, device=device, content=content)


def _read_named(folder: Path | str | None) -> tuple[Bundle, bytes]:
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
            raise ModelError(f"is no model folder: {name} is missing")
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
        """Open the network on `device` (device.py), or on the processor, which `notice` then tells.

        content: the network's bytes, hashed and looked through (None: read them now).
        Raises `ModelError` when it cannot be run or does not fit its configuration, `UsageError` for an unknown device.
        """
        import onnxruntime

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
        dimensions = {"features": 3, "logits": 2, "frame_logits": 3, "attention": 3}
        for name, shape in {**inputs, **outputs}.items():
            if name in dimensions and len(shape) != dimensions[name]:
                raise ModelError(f"{bundle.network}: {name} has {len(shape)} dimensions; {dimensions[name]} are needed")
        width, found = inputs["features"][-1], outputs["logits"][-1]
        if width not in (None, self.config.features.width) and isinstance(width, int):
            raise ModelError(
                f"{bundle.network}: reads {width} values a frame, its configuration says {self.config.features.width}"
            )
        wanted = len(self.config.labels) + len(self.config.context)
        if isinstance(found, int) and found != wanted:
            raise ModelError(f"{bundle.network}: gives {found} scores, its configuration names {wanted} labels")
        self.over_time = "frame_logits" in outputs
        self.attends = self.over_time and "attention" in outputs
        self._outputs = ["logits", *["frame_logits"][: self.over_time], *["attention"][: self.attends]]

    def run(self, features: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return the network's own numbers, before calibration.

        Parameters
        ----------
        features : ndarray, shape (batch, frames, width)

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
        try:
            values = self._session.run(self._outputs, {"features": np.ascontiguousarray(features, dtype=np.float32)})
        except Exception as error:
            told = _first_line(error)
            if "Available memory of" in str(error):
                told = f"it needs more memory than the {MAX_MEMORY >> 30} GiB that networks may take"
            raise ModelError(f"the network of {self.config.id} failed ({told})") from None
        found = dict(zip(self._outputs, values, strict=True))
        self._check_answer(found, features)
        found.setdefault("frame_logits", found["logits"][:, None])
        return found

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
            raise ModelError(f"the network of {self.config.id} gave scores that are no numbers (NaN or infinite)")

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
        attention = found.get("attention", [None] * len(features))
        step_s = np.full(found["frame_logits"].shape[1], features.shape[1] * self.config.features.frame_s)
        step_s /= found["frame_logits"].shape[1]
        return np.stack(
            [
                self.config.recording_scores(logits, weights, step_s)
                for logits, weights in zip(found["frame_logits"], attention, strict=True)
            ]
        ).astype(np.float32)


@lru_cache(maxsize=1)
def limit_memory() -> None:
    """Bound, once for the process, what networks take while they compute: ONNX Runtime's arena, shared by all of them."""
    import onnxruntime

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
