"""`whoplays train --from MODEL`: a trained model learns a user's own labels from a few recordings, in seconds.

The network's body stays as it is, and each label gets a row of its own in the head (heads.py): a logistic regression on
what the body makes of the recordings, of variants of them (other levels, equalisers, noise, mixtures), and of a
*background*: what it made of scenes of the material it was trained on. Without a background a handful of recordings tells
the labels from each other, but not from the rest of the world. Labels that the user brings no recordings of keep their
rows, and so their scores, to the last bit; those the user does bring are moved as little as the recordings allow.
No training framework is needed: ONNX Runtime computes, `onnx` rewrites the file.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import features
from ..audio import reading
from ..dataset.content import grouped
from ..dataset.sources import Skipped, causes, read_source
from ..errors import AudioError, DatasetError, ModelError, UsageError
from ..evaluation import metrics
from ..model import folder as model_folder
from ..model.config import Calibration, ModelConfig
from ..storage.address import Place, place
from ..storage.cache import recording
from ..storage.files import only_writer, write_atomically
from ..taxonomy.catalogue import catalogue
from ..taxonomy.tree import Label
from . import augment, heads, logistic
from .augment import FRAMES_PER_STEP, Examples

Array = NDArray[np.float32]

BACKGROUND = "background.npz"
MAX_BACKGROUND_BYTES = 16 << 20
WINDOWS = 6  # of one recording, at most
VARIANTS = 8
PENALTY = 30.0  # of the weights of new labels, on standardised values
PENALTY_KNOWN = 300.0  # of how far the weights of a known label move
FOLDS = 30  # recordings are left out one by one up to so many, then in as many groups
OF_EMBEDDING = 3.0  # how much further a new label's weights go along what the embedding tells apart


@dataclass(frozen=True)
class Adapted:
    """What was made: the model folder, the labels learnt, examples of each, average precision on recordings left out in turn.

    right: of how many recordings, each judged by a fit without it, exactly its labels would be named, and of how many.
    skipped: files that were not used, and why. remarks: on copies, and on the same file under different labels.
    """

    folder: Path
    learnt: tuple[str, ...]
    recordings: dict[str, int]
    average_precision: dict[str, float]
    right: tuple[int, int]
    background: int
    skipped: list[Skipped]
    remarks: list[str]


@dataclass(frozen=True)
class _Rows:
    """Windows of the user's recordings: log-mel (n, frames, bands), targets (n, labels; NaN unknown), recording (n,)."""

    features: Array
    targets: Array
    recordings: NDArray[np.int64]


def adapt(
    source: Place | str,
    out: Path | str,
    *,
    base: Path | str | None = None,
    only_mine: bool = False,
    name: str = "",
    seed: int = 0,
) -> Adapted:
    """Teach `base` (None: the model inside the package) the labels of `source`, and write a model folder to `out`.

    source: a folder with a sub-folder of recordings for each label, or a manifest (see dataset/sources.py). only_mine:
    leave out the base's labels that the source does not have. Raises `DatasetError`, `ModelError`, `UsageError`.
    """
    found, source, out = model_folder.read(None if base is None else Path(base)), place(source), Path(out)
    if (out / model_folder.CONFIG).exists():
        raise UsageError(f"{out}: holds a finished model; name another folder")
    if found.config.activation != "sigmoid":
        raise ModelError(f"{found.folder}: its labels exclude each other; --from needs a model of the recipe default")
    model_folder.Network(found)  # looks through the file, and refuses what is no model
    try:
        body, head = heads.split_head(found.content(model_folder.NETWORK))
    except ModelError as error:
        raise ModelError(f"{found.folder}: {error}") from None
    labels, rows, skipped, remarks = _read(source, found.config)
    learner = _Learner(found.config, heads.Body(body), head, background_of(found), seed, body)
    with only_writer(out):
        new_head, config, precision, right = learner.learn(labels, rows, only_mine=only_mine, name=name)
        counts = {label.id: len(np.unique(rows.recordings[rows.targets[:, i] == 1])) for i, label in enumerate(labels)}
        network = heads.attach_head(body, new_head)
        facts = {
            "from": found.config.id,
            "recordings": counts,
            "average_precision": precision,
            "right": list(right),
            "seed": seed,
        }
        config = replace(config, training={"recipe": "adapted", **facts, "base": dict(found.config.training)})
        model_folder.write(out, config, network, _card(config, found.config, counts, precision))
        _pass_on_background(found, out)
    return Adapted(
        out, tuple(label.id for label in labels), counts, precision, right, learner.known.shape[0], skipped, remarks
    )


def _read(source: Place, config: ModelConfig) -> tuple[tuple[Label, ...], _Rows, list[Skipped], list[str]]:
    labels, clips, skipped = read_source(source, with_none=True)
    if not clips:
        raise DatasetError(_caused(skipped, f"{source}: names no recordings of a label"))
    clips, remarks = grouped(clips, labels)
    found, targets, recordings = [], [], []
    numbers: dict[str, int] = {}
    for clip in clips:
        try:
            with recording(clip.path) as path:
                samples = reading.load(
                    path, sample_rate=config.features.sample_rate, start=clip.start, duration=clip.duration
                )
        except AudioError as error:
            skipped.append(Skipped(clip.name, str(error)))
            continue
        windows = list(_windows(samples, config))
        for i in np.unique(np.linspace(0, len(windows) - 1, WINDOWS).astype(int)) if windows else ():
            found.append(features.compute(windows[i], config.features))
            targets.append([np.nan if target is None else float(target) for target in clip.targets])
            recordings.append(numbers.setdefault(clip.together, len(numbers)))
    table = np.array(targets, dtype=np.float32).reshape(-1, len(labels))
    for i, label in enumerate(labels):
        if len({r for r, target in zip(recordings, table[:, i], strict=True) if target == 1}) < 2:
            few = f"{source}: {label.id} has fewer than 2 recordings that can be read; 10 are a good start"
            raise DatasetError(_caused(skipped, few))
    frames = min(len(one) for one in found) // FRAMES_PER_STEP * FRAMES_PER_STEP
    return labels, _Rows(np.stack([one[:frames] for one in found]), table, np.array(recordings)), skipped, remarks


def _caused(skipped: list[Skipped], problem: str) -> str:
    return f"{causes(skipped)}; {problem}" if skipped else problem


def _windows(samples: Array, config: ModelConfig) -> Iterator[Array]:
    """Yield what the network gets of a recording in use, each a whole window: a short one, or a rest, is repeated."""
    length = round(config.window_s * config.features.sample_rate)
    edges = [*range(0, len(samples), length), len(samples)]
    for first, last in pairwise(edges):
        if last - first >= length // 4 or first == 0 and last > 0:
            yield np.resize(samples[first:last], length)


def background_of(found: model_folder.Bundle) -> Array:
    """Return hidden values, averaged over time, (scenes, width) of the base's material; none where it carries none."""
    path = found.folder / BACKGROUND
    if not path.is_file() or path.stat().st_size > MAX_BACKGROUND_BYTES:
        return np.zeros((0, 0), dtype=np.float32)
    try:
        content = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > 16 * MAX_BACKGROUND_BYTES:
                raise ValueError("more would come out of it than any background holds")
        with np.load(io.BytesIO(content), allow_pickle=False) as kept:
            right = str(kept["network"]) == hashlib.sha256(found.content(model_folder.NETWORK)).hexdigest()
            values: Array = kept["hidden"].astype(np.float32)
    except Exception as error:  # an archive can be damaged in more ways than its reader has kinds of errors
        raise ModelError(f"{path}: cannot be read ({error}); remove it, or copy the folder again") from None
    if not right:
        raise ModelError(
            f"{path}: belongs to another network; remove it, or write it anew (in a checkout: python -m recipe.background)"
        )
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ModelError(f"{path}: holds no table of numbers; remove it, or copy the folder again")
    return values


def write_background(folder: Path, hidden: Array) -> None:
    """Give a model folder its background: hidden values averaged over time, (scenes, width), kept in half precision."""
    network = hashlib.sha256((folder / model_folder.NETWORK).read_bytes()).hexdigest()
    write_atomically(
        folder / BACKGROUND,
        lambda file: np.savez_compressed(file, network=np.array(network), hidden=hidden.astype(np.float16)),
    )


def _pass_on_background(found: model_folder.Bundle, out: Path) -> None:
    """The body is the same, so the background is: an adapted model can be adapted again."""
    values = background_of(found)
    if len(values):
        write_background(out, values)


class _Learner:
    def __init__(
        self, config: ModelConfig, body: heads.Body, head: heads.Head, known: Array, seed: int, network: bytes
    ) -> None:
        self._config, self._body, self._head, self._seed = config, body, head, seed
        width = head.weights.shape[0]
        self.known = known if known.shape[1:] == (width,) else np.zeros((0, width), dtype=np.float32)
        self.slope = heads.embedding_slope(network, self.known) if len(self.known) else None
        self._ids = [label.id for label in config.labels]

    def learn(
        self, labels: tuple[Label, ...], rows: _Rows, *, only_mine: bool, name: str
    ) -> tuple[heads.Head, ModelConfig, dict[str, float], tuple[int, int]]:
        """Return the new head, its configuration, and how good it is on recordings left out in turn: see `Adapted`."""
        named = np.full(rows.targets.shape, np.nan)
        examples = self._examples(rows)
        head, config, precision = self._head, self._config, {}
        ids = list(dict.fromkeys([*self._ids, *(label.id for label in labels)]))
        known = {
            label.id: label for label in catalogue().labels_for(ids)
        }  # with families and colours beside the base's
        for i, label in enumerate(labels):
            row = _LabelRow(self, label.id, i, examples)
            column, limit, precision[label.id], named[row.known_windows, i] = row.fit()
            if label.id in self._ids:
                limit = config.thresholds[config.tree.index(label.id)]
            named[:, i] = _per_recording(named[:, i], rows.recordings) >= limit
            if label.id in self._ids:
                head, config = _with_row(head, config, config.tree.index(label.id), column)
                continue  # its calibration and threshold are of far more recordings than these
            none = np.zeros((len(column) - 1, 1), dtype=np.float32)
            single = heads.Head(column[:-1, None], column[-1:], none, np.zeros(1, dtype=np.float32))
            head, config = _with_label(head.joined(single), config, known[label.id], limit)
        if only_mine:
            head, config = _chosen(head, config, [label.id for label in labels])
        return head, replace(config, name=name or f"{self._config.name}+", version="1"), precision, _right(named, rows)

    def _examples(self, rows: _Rows) -> _Examples:
        """Return the windows, then `VARIANTS` of them all, half of those mixed with another recording."""
        rng = np.random.default_rng(self._seed)
        n, frames, bands = rows.features.shape
        over_time = np.zeros((n, frames // FRAMES_PER_STEP, rows.targets.shape[1]), dtype=np.float32)
        plain = Examples(rows.features, rows.targets, over_time)
        parts = [(self._pooled(rows.features), rows.targets, np.arange(n), np.full(n, -1))]
        for _ in range(VARIANTS):
            parameters = augment.draw(rng, n, frames=frames, bands=bands, mix=0.5 if n > 2 else 0.0)
            changed = augment.apply(plain, parameters, log_offset=self._config.features.log_offset)
            parts.append((self._pooled(changed.features), changed.clip, np.arange(n), parameters.partner))
        pooled, targets, own, partner = (np.concatenate(part) for part in zip(*parts, strict=True))
        recordings = np.stack([rows.recordings[own], np.where(partner < 0, -1, rows.recordings[partner])], axis=1)
        return _Examples(pooled, targets, recordings, np.arange(len(own)) < n)

    def _pooled(self, x: Array) -> Array:
        """Return (n, 1 + known labels, width): the mean over time, then what each known label's attention makes of it."""
        parts = [
            np.concatenate([hidden.mean(axis=1)[:, None], self._head.pooled(hidden)], axis=1)
            for hidden in self._body.hidden(x)
        ]
        return np.concatenate(parts).astype(np.float32)

    def place_of(self, label: str) -> int | None:
        """Return the place of a label that the base knows."""
        return self._ids.index(label) if label in self._ids else None

    def row_of(self, place: int) -> tuple[Array, float, float, float]:
        """Return a known label's weights and bias, and its calibration's scale and bias."""
        calibration = self._config.calibration
        assert calibration is not None
        bias = float(self._head.bias[place])
        return self._head.weights[:, place], bias, calibration.scale[place], calibration.bias[place]


@dataclass(frozen=True)
class _Examples:
    """pooled (n, pools, width), targets (n, labels), recordings (n, 2; the second is mixed in, or -1), plain (n,)."""

    pooled: Array
    targets: Array
    recordings: NDArray[np.int64]
    plain: NDArray[np.bool_]


class _LabelRow:
    """One label's row: logistic regression on standardised values, beginning at the row that the base has, or at none."""

    def __init__(self, learner: _Learner, label: str, column: int, examples: _Examples) -> None:
        place = learner.place_of(label)
        target = examples.targets[:, column]
        kept = ~np.isnan(target)
        self._own = examples.pooled[kept, 0 if place is None else place + 1]
        self._y, self._recordings = target[kept], examples.recordings[kept]
        self._plain = examples.plain[kept]
        self.known_windows = kept[examples.plain]
        self._known = learner.known
        together = np.concatenate([self._own, self._known])
        self._mean, self._deviation = together.mean(axis=0), together.std(axis=0) + 1e-3
        self._from = None if place is None else learner.row_of(place)
        self._shape = None if self._from or learner.slope is None else _shape(learner.slope, self._deviation)

    def fit(self) -> tuple[Array, float, float, NDArray[np.float64]]:
        """Return the row (width + 1,), bias last, and the threshold; of recordings left out average precision and scores."""
        whole = self._fitted(np.ones(len(self._y), dtype=bool))
        left_out = self._left_out(self._fit)
        known = self._scores(self._known, whole)
        truth = np.concatenate([self._y[self._plain], np.zeros(len(known))])[:, None]
        scores = np.concatenate([left_out, known if self._from is None else np.zeros(0)])
        truth = truth[: len(scores)]
        p = (1 / (1 + np.exp(-np.clip(scores, -30, 30))))[:, None]
        limit = round(float(np.clip(metrics.best_thresholds(truth, p)[0], 0.2, 0.8)), 2)
        precision = float(metrics.average_precision(truth, p)[0])
        return self._row(whole), limit, round(precision, 3), 1 / (1 + np.exp(-np.clip(left_out, -30, 30)))

    def _fitted(self, used: NDArray[np.bool_], near: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return what is added to the row, on standardised values, learnt from the examples `used` and the background.

        near: what `self._fit` was after a fit to nearly the same, from where this one is near.
        """
        x = (np.concatenate([self._own[used], self._known]) - self._mean) / self._deviation
        offset = self._offset(np.concatenate([self._own[used], self._known]))
        if self._from is None:
            y = np.concatenate([self._y[used], np.zeros(len(self._known))])
        else:  # of its background, a known label shall say what it said
            y = np.concatenate([self._y[used], 1 / (1 + np.exp(-offset[used.sum() :]))])
        penalty = PENALTY if self._from is None else PENALTY_KNOWN
        x = x if self._shape is None else x @ self._shape
        tolerance = 1e-6 if near is None else 1e-2
        self._fit = logistic.fit(x, y, penalty=penalty, offset=offset, start=near, tolerance=tolerance)
        return self._fit if self._shape is None else np.append(self._shape @ self._fit[:-1], self._fit[-1])

    def _offset(self, values: Array) -> NDArray[np.float64]:
        if self._from is None:
            return np.zeros(len(values))
        weights, bias, scale, shift = self._from
        return np.asarray(np.clip(scale * (values @ weights + bias) + shift, -30, 30), dtype=np.float64)

    def _scores(self, values: Array, added: NDArray[np.float64]) -> NDArray[np.float64]:
        standard = (values - self._mean) / self._deviation
        return np.asarray(standard @ added[:-1] + added[-1] + self._offset(values), dtype=np.float64)

    def _row(self, added: NDArray[np.float64]) -> Array:
        """Return the row of the head that gives these scores, before calibration."""
        slope = added[:-1] / self._deviation
        level = added[-1] - float(slope @ self._mean)
        if self._from is None:
            return np.append(slope, level).astype(np.float32)
        weights, bias, scale, _ = self._from
        return np.append(weights + slope / scale, bias + level / scale).astype(np.float32)

    def _left_out(self, near: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return scores of the recordings as they are, each from a row that was learnt without it. near: of a fit to all."""
        scores = np.zeros(int(self._plain.sum()))
        fold_of = {recording: i % FOLDS for i, recording in enumerate(self._in_turn())}
        folds = np.array([[fold_of.get(int(r), -1) for r in pair] for pair in self._recordings])
        for fold in range(FOLDS):
            here = folds[self._plain][:, 0] == fold
            if here.any():
                added = self._fitted(~(folds == fold).any(axis=1), near)
                scores[here] = self._scores(self._own[self._plain][here], added)
        return scores

    def _in_turn(self) -> list[int]:
        """Return the recordings, those of the label first: each fold gets as many of them."""
        firsts = dict(zip(self._recordings[self._plain][:, 0].tolist(), self._y[self._plain].tolist(), strict=True))
        return sorted(firsts, key=lambda recording: (-firsts[recording], recording))


def _shape(slope: Array, deviation: Array) -> NDArray[np.float64]:
    """Return what shapes weights on standardised values (width, width): they cost less along what the embedding tells apart.

    What embeddings were taught to tell apart is what instruments differ in, whoever plays them: the few recordings of a
    new label need not tell that again. slope: (width, embedding), of the embedding by hidden values.
    """
    along = (deviation[:, None] * slope).astype(np.float64)
    along /= np.sqrt(np.square(along).sum() / len(along))
    variance = 0.25 * np.eye(len(along)) + OF_EMBEDDING**2 * along @ along.T
    return np.asarray(np.linalg.cholesky(variance / np.trace(variance) * len(along)))


def _per_recording(values: NDArray[np.float64], recordings: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return, for each window (n,), the mean of its recording's."""
    places = np.unique(recordings, return_inverse=True)[1]
    return np.asarray((np.bincount(places, values) / np.bincount(places))[places])


def _right(named: NDArray[np.float64], rows: _Rows) -> tuple[int, int]:
    """Return of how many recordings exactly the labels are named, of those of which all are known, and how many those are."""
    firsts = np.unique(rows.recordings, return_index=True)[1]
    known = firsts[~np.isnan(rows.targets[firsts]).any(axis=1)]
    return int((named[known] == rows.targets[known]).all(axis=1).sum()), len(known)


def _with_label(head: heads.Head, config: ModelConfig, label: Label, limit: float) -> tuple[heads.Head, ModelConfig]:
    """Return head and configuration with one more label, whose row is the last of `head`.

    It stands after the families if it is one, else after all labels. No other output corrects it, and it corrects none.
    """
    assert config.calibration and config.frame_calibration and config.pooling
    place = len(config.tree.families) if label.parent is None else len(config.labels)
    outputs = len(config.labels) + len(config.context)
    pooling = config.pooling

    def with_one(values: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
        return (*values[:place], value, *values[place:])

    def calibrated(calibration: Calibration) -> Calibration:
        return Calibration(with_one(calibration.scale, 1.0), with_one(calibration.bias, 0.0))

    rows = tuple(with_one(row, 0.0) for row in pooling.correction)
    return head.of([*range(place), outputs, *range(place, outputs)]), replace(
        config,
        labels=with_one(config.labels, label),
        thresholds=with_one(config.thresholds, limit),
        maybe=with_one(config.maybe, round(0.6 * limit, 2)),
        pooling=replace(
            pooling,
            scale=with_one(pooling.scale, 1.0),
            bias=with_one(pooling.bias, 0.0),
            correction=with_one(rows, (0.0,) * (outputs + 1)) if rows else (),
        ),
        calibration=calibrated(config.calibration),
        frame_calibration=calibrated(config.frame_calibration),
    )


def _with_row(head: heads.Head, config: ModelConfig, place: int, column: Array) -> tuple[heads.Head, ModelConfig]:
    """Return head and configuration with another row for a label; where its former row corrects others, it still does."""
    assert config.pooling
    weights, bias = head.weights.copy(), head.bias.copy()
    weights[:, place], bias[place] = column[:-1], column[-1]
    learnt = replace(head, weights=weights, bias=bias)
    correction = [
        (*(0.0 if j == place else value for j, value in enumerate(row)), 0.0 if i == place else row[place])
        for i, row in enumerate(config.pooling.correction)
    ]
    if not any(row[-1] for row in correction):
        return learnt, config
    return learnt.joined(head.of([place])), replace(
        config,
        context=(*config.context, config.labels[place].id),
        pooling=replace(config.pooling, correction=tuple(correction)),
    )


def _chosen(head: heads.Head, config: ModelConfig, ids: Sequence[str]) -> tuple[heads.Head, ModelConfig]:
    """Return head and configuration with some of the labels alone; where the others correct them, they still do."""
    assert config.calibration and config.frame_calibration and config.pooling
    labels = config.tree.select(ids).labels
    places = [config.tree.index(label.id) for label in labels]
    correction = [config.pooling.correction[i] for i in places] if config.pooling.correction else []
    outputs = [*(label.id for label in config.labels), *config.context]
    needed = any(value for row in correction for value in row)
    order = [*places, *(i for i in range(len(outputs)) if needed and i not in places)]

    def of(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(values[i] for i in places)

    def calibrated(calibration: Calibration) -> Calibration:
        return Calibration(of(calibration.scale), of(calibration.bias))

    return head.of(order), replace(
        config,
        labels=labels,
        context=tuple(outputs[i] for i in order[len(places) :]),
        thresholds=of(config.thresholds),
        maybe=of(config.maybe),
        pooling=replace(
            config.pooling,
            scale=of(config.pooling.scale),
            bias=of(config.pooling.bias),
            correction=tuple(tuple(row[i] for i in order) for row in correction) if needed else (),
        ),
        calibration=calibrated(config.calibration),
        frame_calibration=calibrated(config.frame_calibration),
    )


def _card(config: ModelConfig, base: ModelConfig, counts: dict[str, int], precision: dict[str, float]) -> str:
    named = ", ".join(label.id for label in config.labels)
    learnt = "\n".join(f"| {label} | {n} | {precision[label]:.2f} |" for label, n in counts.items())
    return f"""# {config.id}

Hears {named}. Made from {base.id} by `whoplays train --from`: its network up to the last layer, and rows for these labels:

| label | recordings | average precision, each recording scored by a model without it |
|---|---|---|
{learnt}

Labels that are not in the table have the scores that {base.id} gives, to the last bit.
How it does on other recordings must be measured there. The licence of those recordings is not known to whoplays; of
{base.id}, its own card tells.
"""
