"""Fit how a network's outputs become decisions, and choose which labels are good enough to ship.

    python -m recipe decide MODEL DATA MATERIAL [--keep] [--only LABEL ...] [--alike MODEL]

MODEL: a model folder whose labels and context are all outputs of the network, in the form that ships. DATA: real/ and songs/.
MATERIAL: scenes of held-out sources (`python -m recipe scenes --held-out`). Fitted are, for each label, a logistic regression on
the pooled log odds of all outputs (its own free, the others drawn towards 0), thresholds of the best F1, the lower ones of
`maybe`, and the calibration of scores over time. Fitting and choosing use the development half of real/, songs with their parts
and stems, and scenes; the test half of real/ is never read. Each recording is used three times, with other silence before it.

Everything is evaluated with recordings left out in turn (five folds; a song, its parts and its stems are in one fold). With
--keep the folder is written anew, and with --alike another one in the same way: that network in floating point. With --only,
those labels alone are decided anew; the others that ship keep what was decided for them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from bench.quality.songs import songs
from whoplays.errors import ModelError
from whoplays.evaluation.metrics import average_precision
from whoplays.evaluation.segments import FRAME_S
from whoplays.inference.recogniser import Recogniser
from whoplays.model import folder as model_folder
from whoplays.model.config import Calibration, ModelConfig, TimelineSettings
from whoplays.model.pooling import Pooling, log_odds, sigmoid
from whoplays.training import heads
from whoplays.training.calibrate import platt

from . import material as store
from .examples import FOLDS, Example, at_rate, examples
from .labels import LABELS, TREE

Floats = NDArray[np.float64]
T = TypeVar("T")

#: Share of a recording's time that makes its score, and seconds that attention averages over.
SHARE, SPAN_S = 0.35, 10.0
#: How strongly the weights of other outputs are drawn towards 0: for the first five families, and for labels beside them.
PENALTY, PENALTY_BESIDE = 0.03, 0.01
#: How much scenes count for labels beside the first five, of what they count for those.
SCENES_BESIDE = 0.5
TIMELINE = TimelineSettings(span_s=1.6, threshold=0.5, low=0.5, max_gap_s=1.5, min_length_s=0.5)
#: What a label beside the first five must reach on real recordings.
LEAST_PRECISION, MOST_FALSE, LEAST_RECORDINGS = 0.70, 0.03, 8
#: What is allowed of the weight of the examples without a label when its threshold is fitted: stricter, for it is fitted to them.
MOST_FITTED = 0.015
ALWAYS = TREE.defaults


class Fit:
    """Pooled log odds of all examples, standardised, and regressions on them."""

    def __init__(self, found: Sequence[Example], outputs: Sequence[str]) -> None:
        """outputs: what the network's outputs stand for, in its order."""
        self.order = np.array([list(outputs).index(label) for label in LABELS])
        plain = replace(Pooling.plain(len(outputs), SHARE), span_s=SPAN_S)
        pooled = [
            plain.pooled(logits, attention, lengths, activation="sigmoid")[self.order]
            for logits, attention, lengths in (one.outputs for one in found)
        ]
        self.odds = log_odds(np.array(pooled))
        self.mean, self.deviation = self.odds.mean(axis=0), self.odds.std(axis=0) + 1e-6
        self.x = (self.odds - self.mean) / self.deviation
        self.targets = np.array([one.targets for one in found])
        self._weights = np.array([one.weight for one in found])
        self.evaluated = np.array([one.lead_s == 0 for one in found])
        self.kinds = np.array([one.kind for one in found])
        self.folds = [one.folds for one in found]
        self.sources = [one.sources for one in found]

    def weights(self, label: int) -> Floats:
        """Return how much each example (n,) counts for a label."""
        less = np.isin(self.kinds, ("scenes", "solos")) & (LABELS[label] not in ALWAYS)
        return np.asarray(self._weights * np.where(less, SCENES_BESIDE, 1.0))

    def regression(self, label: int, rows: NDArray[np.bool_]) -> Floats:
        """Return weights (outputs,) on standardised log odds and the bias after them, fitted to some of the examples."""
        used = rows & ~np.isnan(self.targets[:, label])
        x, y, w = self.x[used], self.targets[used, label].astype(np.float64), self.weights(label)[used]
        w = w / w.sum()
        start = np.zeros(len(LABELS) + 1)
        start[label] = 1.0
        penalty = np.full(len(LABELS), PENALTY if LABELS[label] in ALWAYS else PENALTY_BESIDE)
        penalty[label] /= 30

        def loss(p: Floats) -> tuple[float, Floats]:
            z, away = x @ p[:-1] + p[-1], p[:-1] - start[:-1]
            error = w * (sigmoid(z) - y)
            value = float(w @ (np.logaddexp(0, z) - y * z) + penalty @ away**2)
            return value, np.append(x.T @ error + 2 * penalty * away, error.sum())

        return np.asarray(scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B").x)

    def scores(self, p: Floats, rows: NDArray[np.bool_]) -> Floats:
        """Return the probabilities of some examples."""
        return np.asarray(sigmoid(self.x[rows] @ p[:-1] + p[-1]))

    def limits(self, label: int, p: Floats, rows: NDArray[np.bool_]) -> tuple[float, float]:
        """Return the threshold of the best F1 and, for `maybe`, that of the best F2 (recall counts twice as much)."""
        used = rows & ~np.isnan(self.targets[:, label])
        y, w, scores = self.targets[used, label] == 1, self.weights(label)[used], self.scores(p, used)
        best, lower = (-1.0, 0.5), (-1.0, 0.2)
        for limit in np.arange(0.1, 0.9, 0.01):
            named = scores >= limit
            hit, wrong, missed = (w[mask].sum() for mask in (named & y, named & ~y, ~named & y))
            allowed = LABELS[label] in ALWAYS or wrong <= MOST_FITTED * w[~y].sum()
            best = max(best, (2 * hit / max(2 * hit + wrong + missed, 1e-9) - (not allowed), limit))
            lower = max(lower, (5 * hit / max(5 * hit + wrong + 4 * missed, 1e-9), limit))
        return round(float(best[1]), 2), round(float(min(lower[1], 0.8 * best[1])), 2)

    def left_out(self, label: int) -> tuple[Floats, NDArray[np.bool_]]:
        """Return each example's score, and whether the label is named, by fits that have not seen its recordings."""
        scores, named = np.full(len(self.x), np.nan), np.zeros(len(self.x), dtype=bool)
        for fold in range(FOLDS):
            there = np.array([fold in folds for folds in self.folds])
            p = self.regression(label, ~there)
            scores[there] = self.scores(p, there)
            named[there] = scores[there] >= self.limits(label, p, ~there)[0]
        return scores, named


@dataclass(frozen=True)
class Reached:
    """Figures of a label on real recordings, each evaluated by a fit without it."""

    label: str
    recordings: int
    average_precision: float
    false_share: float
    recall: float

    @property
    def ships(self) -> bool:
        """Whether that is good enough."""
        good = self.average_precision >= LEAST_PRECISION and self.false_share <= MOST_FALSE
        return self.label in ALWAYS or good and self.recordings >= LEAST_RECORDINGS


def reached(fit: Fit, label: str) -> Reached:
    """Evaluate a label on clips, other sounds, whole songs and stems."""
    i = LABELS.index(label)
    scores, named = fit.left_out(i)
    rows = fit.evaluated & np.isin(fit.kinds, ("clips", "silent", "songs", "stems")) & ~np.isnan(fit.targets[:, i])
    y, scores, named = fit.targets[rows, i] == 1, scores[rows], named[rows]
    sources = {fit.sources[j] for j in np.flatnonzero(rows) if fit.targets[j, i] == 1}
    if not y.any() or y.all():
        return Reached(label, len(sources), 0.0, 0.0, 0.0)
    precision = float(average_precision(y[:, None] * 1.0, scores[:, None])[0])
    return Reached(label, len(sources), precision, float(named[~y].mean()), float(named[y].mean()))


#: How often a step of a song counts in the calibration of scores over time, beside one of a scene.
SONG_STEP = 8


def frame_calibration(
    model: Path, data: Path, material: Path, labels: Sequence[str], order: Sequence[int]
) -> Calibration:
    """Return scale and bias of scores over time, from the steps of scenes of held-out sources and of songs.

    labels: what to calibrate. order: the network's output for each of them.
    """
    recogniser, network = Recogniser(model), model_folder.Network(model_folder.read(model))
    columns = [LABELS.index(label) for label in labels]
    logits, targets = [], []
    for path in store.shards(material / "validation"):
        rows = store.read([path])
        for part in np.array_split(np.arange(len(rows)), 8):
            frames = network.run(rows.features[part].astype(np.float32))["frame_logits"]
            logits.append(frames[..., order].reshape(-1, len(order)))
            targets.append(rows.targets[part].astype(np.float32).reshape(-1, len(LABELS))[:, columns])
    for song in songs(data):
        found = recogniser.network_outputs(at_rate(song.recording, recogniser))
        middles = np.cumsum(found.lengths) - found.lengths / 2
        known = np.full((len(middles), len(labels)), np.nan, dtype=np.float32)
        for family, active in song.activity.items():
            inside = middles < len(active) * FRAME_S
            known[inside, list(labels).index(family)] = active[(middles[inside] / FRAME_S).astype(int)]
        logits.append(np.repeat(found.logits[:, order], SONG_STEP, axis=0))
        targets.append(np.repeat(known, SONG_STEP, axis=0))
    return platt(np.concatenate(logits), np.concatenate(targets))


def decide(
    model: Path, data: Path, material: Path, *, keep: bool, only: Sequence[str] = (), alike: Path | None = None
) -> list[Reached]:
    """Fit, print what is reached, and with `keep` write the folder anew, and `alike` with the same decisions."""
    config = model_folder.read(model).config
    outputs = (*config.tree.ids, *config.context)
    found = list(examples(model, data, material))
    fit = Fit(found, outputs)
    rows = [reached(fit, label) for label in LABELS]
    for row in rows:
        shown = f"AP {row.average_precision:.3f}  false {row.false_share:.3f}  found {row.recall:.2f}"
        print(f"{row.label:<18} {row.recordings:>4} recordings  {shown}  {'ships' if row.ships else ''}", flush=True)
    _print_songs(fit)
    if not keep:
        return rows
    kept = [label for label in config.tree.ids if only and label not in only]
    chosen = [row.label for row in rows if row.label in kept or row.ships and (not only or row.label in only)]
    final = (*chosen, *(label for label in outputs if label not in chosen))
    order = [outputs.index(label) for label in final]
    pooling, limits, lower = _pooling(fit, chosen, final)
    decided = replace(
        config,
        labels=TREE.select(chosen).labels,
        context=final[len(chosen) :],
        pooling=pooling,
        thresholds=limits,
        maybe=lower,
        frame_calibration=frame_calibration(model, data, material, chosen, order[: len(chosen)]),
        calibration=_whole_calibration(found, [LABELS.index(label) for label in chosen], order),
        timeline=TIMELINE,
    )
    decided = with_rows_of(config, decided, kept)
    for folder in (model, alike) if alike else (model,):
        bundle = model_folder.read(folder)
        own = (*bundle.config.tree.ids, *bundle.config.context)  # in another order where only one of them was written
        if set(own) != set(outputs):
            raise ModelError(f"{folder}: has other outputs than {model}")
        body, head = heads.split_head(bundle.content(model_folder.NETWORK))
        card = (folder / model_folder.CARD).read_text(encoding="utf-8")
        model_folder.write(
            folder, decided, heads.attach_head(body, head.of([own.index(label) for label in final])), card
        )
    return rows


def with_rows_of(old: ModelConfig, new: ModelConfig, kept: Sequence[str]) -> ModelConfig:
    """Return a configuration in which some labels are decided as in an old one with the same outputs."""
    assert old.pooling and new.pooling and old.calibration and new.calibration
    assert old.frame_calibration and new.frame_calibration
    before, outputs = (*old.tree.ids, *old.context), (*new.tree.ids, *new.context)
    columns = [before.index(label) for label in outputs]
    moved = tuple(tuple(row[i] for i in columns) for row in old.pooling.correction)

    def rows(theirs: Sequence[T], mine: Sequence[T]) -> tuple[T, ...]:
        return tuple(theirs[before.index(label)] if label in kept else mine[i] for i, label in enumerate(new.tree.ids))

    def calibration(theirs: Calibration, mine: Calibration) -> Calibration:
        return Calibration(rows(theirs.scale, mine.scale), rows(theirs.bias, mine.bias))

    pooling = replace(
        new.pooling,
        scale=rows(old.pooling.scale, new.pooling.scale),
        bias=rows(old.pooling.bias, new.pooling.bias),
        correction=rows(moved, new.pooling.correction),
    )
    return replace(
        new,
        pooling=pooling,
        thresholds=rows(old.thresholds, new.thresholds),
        maybe=rows(old.maybe, new.maybe),
        calibration=calibration(old.calibration, new.calibration),
        frame_calibration=calibration(old.frame_calibration, new.frame_calibration),
    )


def _whole_calibration(found: Sequence[Example], labels: Sequence[int], order: Sequence[int]) -> Calibration:
    """Return scale and bias of a window's own logits, as attention over all of it gives them."""
    short = [one for one in found if one.kind in ("clips", "mixes", "silent", "stems", "scenes", "solos")]
    logits = []
    for one in short:
        assert one.outputs.attention is not None
        weights = np.exp(one.outputs.attention.astype(np.float64) - one.outputs.attention.max(axis=0))
        logits.append(((weights * one.outputs.logits).sum(axis=0) / weights.sum(axis=0))[list(order[: len(labels)])])
    return platt(np.array(logits, dtype=np.float32), np.array([one.targets for one in short])[:, list(labels)])


def _pooling(
    fit: Fit, chosen: Sequence[str], outputs: Sequence[str]
) -> tuple[Pooling, tuple[float, ...], tuple[float, ...]]:
    """Return the pooling, thresholds and lower thresholds, fitted to everything."""
    scale, bias, correction, limits, lower = [], [], [], [], []
    everything = np.ones(len(fit.x), dtype=bool)
    columns = [LABELS.index(label) for label in outputs]
    for label in chosen:
        i = LABELS.index(label)
        p = fit.regression(i, everything)
        weights = p[:-1] / fit.deviation
        scale.append(round(float(weights[i]), 6))
        bias.append(round(float(p[-1] - weights @ fit.mean), 6))
        weights[i] = 0.0
        correction.append(tuple(round(float(weights[j]), 5) for j in columns))
        limit, low = fit.limits(i, p, everything)
        limits.append(limit)
        lower.append(low)
    pooling = Pooling(SHARE, tuple(scale), tuple(bias), SPAN_S, tuple(correction))
    return pooling, tuple(limits), tuple(lower)


def _print_songs(fit: Fit) -> None:
    """Print how many songs are named exactly right in the first five families, each by a fit without it."""
    given = [LABELS.index(family) for family in ALWAYS]
    named = np.stack([fit.left_out(i)[1] for i in given], axis=1)
    rows = fit.evaluated & (fit.kinds == "songs") & ~np.isnan(fit.targets[:, given]).any(axis=1)
    truth, said = fit.targets[rows][:, given] == 1, named[rows]
    print(
        f"songs, each left out in turn: {(truth == said).all(axis=1).sum()} of {rows.sum()} exactly right, "
        f"{(said & ~truth).sum(axis=1).mean():.2f} wrong and {(truth & ~said).sum(axis=1).mean():.2f} missed a song"
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("material", type=Path, metavar="MATERIAL")
    parser.add_argument("--keep", action="store_true", help="write the model folder anew")
    parser.add_argument("--only", nargs="+", default=(), metavar="LABEL", help="decide these alone anew")
    parser.add_argument("--alike", type=Path, help="the same network in floating point, to get the same decisions")
    args = parser.parse_args()
    decide(args.model, args.data, args.material, keep=args.keep, only=args.only, alike=args.alike)


if __name__ == "__main__":
    main()
