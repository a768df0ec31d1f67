"""A model on a public benchmark: predictions of its test side -> the literature's metrics, beside published figures.

Metrics
-------
* ``mean_average_precision``: mean over classes of the average precision (area under precision and recall, by score).
* ``f1_macro``, ``f1_micro``: at the model's thresholds; mean over classes, and over all known cells together.
* ``f1_macro_all``, ``f1_micro_all``: the same over all classes of the benchmark; those that the model does not have count as
  never named. Published figures are over all classes, so these are what to compare.
* ``f1_micro@0.5`` and so on (IRMAS): a class is named where its score, divided by the highest of the excerpt, reaches the
  number, as in Han et al. (2017), who searched for the best one.
* ``frame_f1`` (MusicNet): over frames of 0.1 s, segments against notes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import __version__
from ...errors import DatasetError, ModelError, UsageError, counted
from ...inference.batch import predict_many
from ...inference.prediction import Failure, Prediction
from ...inference.recogniser import Recogniser
from ...storage.files import make_folder, write_json
from .. import metrics, segments, sets
from .layouts import FACTS, READERS, Clip, Suite

SCHEMA = 1  # version of benchmark.json: results/schemas/benchmark.json
RESULT = "benchmark.json"
RATIOS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # of an excerpt's highest score, for IRMAS


def evaluate(
    name: str,
    folder: Path | str,
    recogniser: Recogniser,
    *,
    out: Path | str | None = None,
    jobs: int = 0,
    draws: int = 1000,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
    on_failure: Callable[[Failure], None] = lambda failure: None,
) -> dict[str, Any]:
    """Evaluate a model on the test side of a public benchmark.

    Parameters
    ----------
    name : str
        One of `READERS`.
    folder : path
        Where the benchmark lies, as it is published.
    recogniser : Recogniser
        The model, opened.
    out : path, optional
        A folder to write benchmark.json into.
    jobs : int
        Recordings in parallel; 0 for one per core.
    draws, seed : int
        Bootstrap resamples of whole recordings for the 95 % intervals, 0 for none; their random seed.

    on_progress, on_failure : callable, optional
        Called with (done, total), and with each recording that cannot be used; the others go on.

    Returns
    -------
    dict
        What benchmark.json holds (`whoplays schema benchmark`).

    Raises
    ------
    DatasetError
        When the folder is not laid out as the benchmark is published.
    ModelError
        When the model has none of its classes.
    """
    if name not in READERS:
        raise UsageError(f"--benchmark {name}: must be one of: {', '.join(READERS)}")
    facts, suite = FACTS[name], READERS[name](Path(folder))
    labels = [label.id for label in recogniser.labels]
    classes = [one for one, label in suite.classes.items() if label in labels]
    if not classes:
        raise ModelError(f"{recogniser.config.id} has none of the classes of {name}: {', '.join(suite.classes)}")
    if out is not None:
        make_folder(Path(out))
    used: list[tuple[Clip, Prediction]] = []
    results = predict_many([clip.path for clip in suite.clips], model=recogniser, jobs=jobs, progress=on_progress)
    failed = 0
    for clip, result in zip(suite.clips, results, strict=True):
        if isinstance(result, Failure):
            failed += 1
            on_failure(result)
        else:
            used.append((clip, result))
    if not used:
        raise DatasetError(f"{folder}: none of {len(suite.clips)} recordings can be used")
    figures, bounds = _figures(name, suite, classes, used, draws, seed)
    found = {
        "schema": SCHEMA,
        "whoplays": __version__,
        "model": recogniser.config.id,
        "benchmark": name,
        "title": facts["title"],
        "split": facts["split"],
        "recordings": len(used),
        "failed": failed,
        "notes": suite.notes,
        "classes": {one: label if one in classes else None for one, label in suite.classes.items()},
        "positives": {one: sum(clip.truth[one] == 1 for clip, _ in used) for one in suite.classes},
        "metrics": {key: metrics.or_none(value) for key, value in figures.items()},
        "intervals": {key: [metrics.or_none(low), metrics.or_none(high)] for key, (low, high) in bounds.items()},
        "bootstrap": {"draws": draws, "seed": seed, "unit": "recording", "level": 0.95},
        "published": facts.get("published", []),
    }
    if out is not None:
        write_json(Path(out) / RESULT, found)
    return found


def _figures(
    name: str,
    suite: Suite,
    classes: Sequence[str],
    used: Sequence[tuple[Clip, Prediction]],
    draws: int,
    seed: int,
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    labels = [suite.classes[one] for one in classes]
    truth = np.array([[clip.truth[one] for one in classes] for clip, _ in used])
    scores = np.array([[prediction.scores[label] for label in labels] for _, prediction in used])
    named = np.array([[label in prediction.playing for label in labels] for _, prediction in used])
    ranked, ranked_bounds = metrics.evaluate(
        truth, scores, list(classes), exclusive=False, named=named, draws=draws, seed=seed
    )
    micro, micro_bounds = sets.evaluate(truth, named, draws=draws, seed=seed)
    kept = {"average_precision_macro": "mean_average_precision", "f1_macro": "f1_macro"}
    figures = {kept[key]: ranked[key] for key in kept} | {"f1_micro": micro["set_f1"]}
    bounds = {kept[key]: ranked_bounds[key] for key in kept if key in ranked_bounds}
    bounds |= {"f1_micro": micro_bounds["set_f1"]} if micro_bounds else {}
    # All classes: what the model does not have is never named.
    whole = np.array([[clip.truth[one] for one in suite.classes] for clip, _ in used])
    all_named = np.zeros(whole.shape, dtype=bool)
    places = [list(suite.classes).index(one) for one in classes]
    all_named[:, places] = named
    figures |= {f"{key}_all": value for key, value in _f1(whole, all_named).items()}
    if name == "irmas":
        ratio = scores / np.maximum(scores.max(axis=1, keepdims=True), 1e-9)
        for least in RATIOS:
            all_named[:, places] = ratio >= least
            figures |= {f"{key}@{least:g}": value for key, value in _f1(whole, all_named).items()}
    if any(clip.intervals is not None for clip, _ in used):
        figures["frame_f1"] = _frame_f1(suite, classes, used)
    figures |= {f"{one}/average_precision": ranked[f"{one}/average_precision"] for one in classes}
    figures |= {f"{one}/f1": ranked[f"{one}/f1"] for one in classes}
    return figures, bounds


def _f1(truth: NDArray[np.float64], named: NDArray[np.bool_]) -> dict[str, float]:
    """Return F1 over all known cells, and its mean over the classes that play somewhere."""
    plays, known = truth == 1, ~np.isnan(truth)
    right, predicted, there = ((named & plays).sum(axis=0), (named & known).sum(axis=0), plays.sum(axis=0))
    counted = there > 0
    each = 2 * right / np.maximum(predicted + there, 1)
    return {
        "f1_micro": float(2 * right.sum() / max(predicted.sum() + there.sum(), 1)),
        "f1_macro": float(each[counted].mean()) if counted.any() else math.nan,
    }


def _frame_f1(suite: Suite, classes: Sequence[str], used: Sequence[tuple[Clip, Prediction]]) -> float:
    hits = predicted = there = 0
    for clip, prediction in used:
        for one in classes:
            if math.isnan(clip.truth[one]):
                continue
            label = suite.classes[one]
            found = [(s.start, s.end) for s in prediction.segments if s.label == label and s.end > s.start]
            true = (clip.intervals or {}).get(one, [])
            a, b = (segments.active_frames(np.array(spans, dtype=np.float64).reshape(-1, 2)) for spans in (found, true))
            hits += len(np.intersect1d(a, b))
            predicted += len(a)
            there += len(b)
    return 2 * hits / (predicted + there) if predicted + there else math.nan


def lines(found: dict[str, Any]) -> list[str]:
    """Return what `evaluate` found as lines for people: metrics with intervals, published figures, then each class."""
    figures, names = found["metrics"], found["classes"]
    known = [one for one in names if names[one]]
    text = [
        f"{found['model']} on {found['title']}, {found['split']}: {counted(found['recordings'], 'recording')}",
        f"{len(known)} of {len(names)} classes: {', '.join(known)}",
    ]
    for key in (key for key in figures if "/" not in key):
        low, high = found["intervals"].get(key, (None, None))
        span = "" if low is None else f"  (95 %: {low:.3f} to {high:.3f})"
        text.append(f"{key:>24}  {_shown(figures[key])}{span}")
    for one in found["published"]:
        who = f"{one['system']}; classes: {one['classes']}; {one['source']}"
        text.append(f"{'published ' + one['metric']:>24}  {one['value']:.3f}  {who}")
    text.append(f"{'class':>24}  positives  average precision  F1")
    for one in known:
        precision, f1 = _shown(figures[f"{one}/average_precision"]), _shown(figures[f"{one}/f1"])
        text.append(f"{one:>24}  {found['positives'][one]:>9}  {precision:>17}  {f1}")
    return text


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
