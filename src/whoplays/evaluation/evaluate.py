"""A model folder and a data set -> how good the one is on the other: metrics.json and report.html.

The network runs from its ONNX file; no training framework is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..dataset import Dataset, Split
from ..errors import DatasetError, ModelError, UsageError
from ..model.config import ModelConfig
from ..model.folder import Bundle, Network
from ..model.folder import read as read_model
from ..runtime.packages import needed
from ..storage.address import Place
from ..storage.files import make_folder, only_writer, together, write_atomically, write_json
from ..taxonomy.messages import speaker
from . import metrics, sets
from .page import evaluation_page, group_name

METRICS, REPORT = "metrics.json", "report.html"
SCHEMA = 1  # version of metrics.json: results/schemas/evaluation.json
ROWS_AT_ONCE = 256

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Evaluation:
    """What was found. `facts` is what metrics.json holds."""

    folder: Path
    facts: dict[str, Any]
    notice: str = ""  # about a device that could not be used

    @property
    def metrics(self) -> dict[str, float | None]:
        """Figures by name; None where one cannot be had."""
        figures: dict[str, float | None] = self.facts["metrics"]
        return figures


def evaluate(
    model_folder: Path | str | None,
    dataset_folder: Place | str,
    out: Path | str,
    *,
    split: str = "test",
    draws: int = 1000,
    seed: int = 0,
    device: str = "cpu",
    lang: str = "en",
    on_progress: Progress | None = None,
) -> Evaluation:
    """Judge a model on a split of a data set; write metrics.json and report.html into the folder `out`.

    draws: of whole recordings, with replacement, for the 95 % intervals; 0 for none. device: what the network runs on
    (model/device.py). lang: of report.html.
    Labels of the model that the data set says nothing of count neither way (its facts list them as `labels_not_known`).
    Raises `ModelError` when model and data set do not fit each other, `DatasetError` when the split has no
    rows, `UsageError` for an unknown device.
    """
    if not 0 <= draws <= 100_000:
        raise UsageError(f"--draws {draws}: 0 to 100000 is possible")
    with needed("Evaluation", "plot"):  # known before the work: the page is drawn after it
        from . import plots  # noqa: F401 - which imports matplotlib
    found, dataset = read_model(model_folder), Dataset.open(dataset_folder)
    _check_fit(found, dataset)
    rows = dataset.split(split)
    if not len(rows):
        raise DatasetError(f"{dataset.folder}: has no rows in {split}; evaluate another split, or build it with some")
    network = Network(found, device=device)
    scores = predict_split(network, rows, on_progress=on_progress)
    targets = _targets(found, dataset, rows)
    facts = measure(found, targets, scores, rows, draws=draws, seed=seed)
    facts["data_set"] = {"folder": dataset.folder.name, "split": split, **facts["data_set"]}
    folder = make_folder(Path(out))
    with only_writer(folder), together():
        write_json(folder / METRICS, facts)
        figures = _figures(facts, found.config, lang)
        write_atomically(folder / REPORT, evaluation_page(facts, found.config, figures, lang))
    return Evaluation(folder, facts, network.notice)


def _check_fit(found: Bundle, dataset: Dataset) -> None:
    """Raise `ModelError` when the model cannot be evaluated on the data set."""
    mine, theirs = found.config.features.to_dict(), dataset.settings.to_dict()
    if differs := [
        f"{name} {theirs[name]} there, {mine[name]} in the model" for name in mine if mine[name] != theirs[name]
    ]:
        kind = mine["feature_type"]
        advice = "" if theirs["feature_type"] == kind else f"; build the data set with --features {kind}"
        raise ModelError(
            f"{dataset.folder}: its features are not those the model reads ({'; '.join(differs[:3])}){advice}"
        )
    ids = [label.id for label in dataset.labels]
    missing = [label.id for label in found.config.labels if label.id not in ids]
    exclusive = missing and found.config.activation == "softmax"  # right or wrong only where all labels are known
    if exclusive or len(missing) == len(found.config.labels):
        raise ModelError(
            f"{dataset.folder}: does not say where {', '.join(missing)} plays; its labels are {', '.join(ids)}"
        )


def _targets(found: Bundle, dataset: Dataset, rows: Split) -> NDArray[np.float32]:
    """Return the targets (rows, labels) in the model's order of labels, NaN for labels that the data set does not have."""
    columns = {label.id: rows.targets[:, i] for i, label in enumerate(dataset.labels)}
    unknown = np.full(len(rows), np.nan, dtype=np.float32)
    return np.stack([columns.get(label.id, unknown) for label in found.config.labels], axis=1)


def predict_split(network: Network, split: Split, *, on_progress: Progress | None = None) -> NDArray[np.float32]:
    """Return calibrated probabilities (rows, labels) for a split's features, read in batches from their memory map."""
    found = []
    for first in range(0, len(split), ROWS_AT_ONCE):
        found.append(network.scores(split.features[first : first + ROWS_AT_ONCE]))
        if on_progress:
            on_progress(min(first + ROWS_AT_ONCE, len(split)), len(split))
    return np.concatenate(found)


def measure(
    found: Bundle,
    targets: NDArray[np.float32],
    scores: NDArray[np.float32],
    split: Split,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the facts of an evaluation, JSON-ready. targets, scores: (rows, labels) in the model's order of labels.

    Each level of labels is evaluated by itself. Figures over all instruments are named "instruments/...", those over all
    families have no prefix, and those of one label are named "LABEL/...".
    """
    config, tree = found.config, found.config.tree
    labels = [label.id for label in config.labels]
    figures: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    named = tree.raise_families(scores >= np.asarray(config.thresholds))
    for level, places in tree.levels().items():
        part, bounds = sets.evaluate(
            targets[:, places], named[:, places], recordings=split.recordings, draws=draws, seed=seed
        )
        ranked, ranked_bounds = metrics.evaluate(
            targets[:, places],
            scores[:, places],
            [labels[i] for i in places],
            exclusive=config.activation == "softmax",
            named=named[:, places],
            recordings=split.recordings,
            draws=draws,
            seed=seed,
        )
        part, bounds = part | ranked, bounds | ranked_bounds
        prefix = "" if level == "families" else f"{level}/"
        figures |= {name if "/" in name else prefix + name: value for name, value in part.items()}
        intervals |= {name if "/" in name else prefix + name: value for name, value in bounds.items()}
    penalty = config.training.get("weight_penalty")
    if isinstance(penalty, float) and len(tree.families) == len(labels):
        figures["loss_with_penalty"] = figures["loss"] + penalty
    single = metrics.single(targets[:, tree.levels()["families"]])
    confusions = {}
    for name, places in tree.groups().items():
        if name == "families" or len(places) > 1:
            matrix = metrics.confusion_matrix(targets[:, places], scores[:, places])
            named_here = [labels[i] for i in places]
            confusions[name] = {"labels": named_here, "rows": int(matrix.sum()), "matrix": matrix.tolist()}
    return {
        "schema": SCHEMA,
        "whoplays": __version__,
        "model": config.id,
        "activation": config.activation,
        "thresholds": dict(zip(labels, config.thresholds, strict=True)),
        "data_set": {
            "rows": len(split),
            "recordings": len(np.unique(split.recordings)),
            "semitones": sorted({float(s) for s in split.semitones}),
            "positives": {label: int(np.nansum(targets[:, i])) for i, label in enumerate(labels)},
            "cells_not_known": int(np.isnan(targets).sum()),
            "labels_not_known": [label for i, label in enumerate(labels) if np.isnan(targets[:, i]).all()],
            "rows_without_exactly_one_family": int((~single).sum()),
        },
        "metrics": {name: metrics.or_none(value) for name, value in figures.items()},
        "intervals": {name: [metrics.or_none(low), metrics.or_none(high)] for name, (low, high) in intervals.items()},
        "bootstrap": {"draws": draws, "seed": seed, "unit": "recording", "level": 0.95},
        "precision_recall": {
            label: metrics.precision_recall(targets[:, i], scores[:, i]) for i, label in enumerate(labels)
        },
        "reliability": {
            level: metrics.reliability(targets[:, places], scores[:, places]) for level, places in tree.levels().items()
        },
        "confusion": confusions,
    }


def _figures(facts: dict[str, Any], config: ModelConfig, lang: str) -> dict[str, str]:
    """Return the page's figures as SVG elements, by name."""
    from ..results.drawing import svg
    from . import plots

    def number(value: float | None) -> float:
        return float("nan") if value is None else value

    say, intervals = speaker("evaluation", lang), facts["intervals"]
    kinds = {say(key): key for key in ("precision", "recall")} | {
        "F1": "f1",
        say("average_precision"): "average_precision",
    }
    figures = {}
    for level, places in config.tree.levels().items():
        known = (config.labels[i] for i in places if config.labels[i].id not in facts["data_set"]["labels_not_known"])
        labels = {label.name(lang): label.id for label in known}
        if not labels:
            continue
        values = {
            kind: {name: number(facts["metrics"][f"{label}/{key}"]) for name, label in labels.items()}
            for kind, key in kinds.items()
        }
        bounds: dict[str, dict[str, tuple[float, float]]] = {}
        for kind, key in kinds.items():
            found = {name: intervals.get(f"{label}/{key}", (None, None)) for name, label in labels.items()}
            bounds[kind] = {name: (number(low), number(high)) for name, (low, high) in found.items()}
        alt = ", ".join(f"{name} F1 {values['F1'][name]:.2f}" for name in labels)
        figures[level] = svg(plots.bars_figure(values, bounds), description=say("drawn_bars", figures=alt))
        tints = {name: config.tree[label].colour for name, label in labels.items()}
        curves, own = (
            {name: facts[key][label] for name, label in labels.items()} for key in ("precision_recall", "thresholds")
        )
        drawn = svg(
            plots.precision_recall_figure(curves, own, tints, lang), description=say("drawn_curves", figures=alt)
        )
        for tint in tints.values():  # as the page shows labels' colours: darker on light paper, lighter on dark
            mixed = f"stroke: color-mix(in oklab, {tint} 82%, currentColor)"
            drawn = drawn.replace(f"stroke: {tint.lower()}", mixed)
        figures[f"curves/{level}"] = drawn
        bins = facts["reliability"][level]
        alt = ", ".join(say("drawn_bin", score=f"{one['score']:.2f}", ratio=f"{one['plays']:.2f}") for one in bins)
        figures[f"reliability/{level}"] = svg(plots.reliability_figure(bins, lang), description=alt)
    for name, confusion in facts["confusion"].items():
        if confusion["rows"]:
            names = [config.tree[label].name(lang) for label in confusion["labels"]]
            figure = plots.confusion_figure(np.array(confusion["matrix"]), names, lang)
            alt = say("drawn_confusion", name=group_name(config, name, lang))
            figures[f"confusion/{name}"] = svg(figure, description=alt)
    history = config.training.get("history")
    if isinstance(history, list) and history and "epoch" in history[0]:
        figure = plots.history_figure(history, best_epoch=int(config.training.get("best_epoch") or 0), lang=lang)
        figures["history"] = svg(figure, description=say("drawn_history"))
    return figures
