"""A head and its configuration with other labels: one more, another row for one, some alone. The others stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.config import Calibration, ModelConfig
from ..taxonomy.tree import Label
from . import heads

Array = NDArray[np.float32]


def with_label(head: heads.Head, config: ModelConfig, label: Label, limit: float) -> tuple[heads.Head, ModelConfig]:
    """Return head and configuration with one more label, whose row is the last of `head`.

    It stands after the families if it is one, else after all labels. No other output corrects it, and it corrects none.
    """
    assert config.calibration and config.frame_calibration and config.pooling
    place = len(config.tree.families) if label.parent is None else len(config.labels)
    outputs = len(config.labels) + len(config.context)

    def with_one(values: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
        return (*values[:place], value, *values[place:])

    rows = tuple(with_one(row, 0.0) for row in config.pooling.correction)
    correction = with_one(rows, (0.0,) * (outputs + 1)) if rows else ()
    labels = with_one(config.labels, label)
    relabelled = _relabelled(config, with_one, labels, correction, limit=limit, context=config.context)
    return head.of([*range(place), outputs, *range(place, outputs)]), relabelled


def _relabelled(
    config: ModelConfig,
    of: Callable[[tuple[Any, ...], Any], tuple[Any, ...]],
    labels: tuple[Label, ...],
    correction: tuple[tuple[float, ...], ...],
    *,
    limit: float = 0.5,
    context: tuple[str, ...],
) -> ModelConfig:
    """Return a configuration with other labels. of: a value for each old label, and a new one's -> those of the new labels."""
    assert config.calibration and config.frame_calibration and config.pooling

    def calibrated(calibration: Calibration) -> Calibration:
        return Calibration(of(calibration.scale, 1.0), of(calibration.bias, 0.0))

    scale, bias = of(config.pooling.scale, 1.0), of(config.pooling.bias, 0.0)
    return replace(
        config,
        labels=labels,
        context=context,
        thresholds=of(config.thresholds, limit),
        maybe=of(config.maybe, round(0.6 * limit, 2)),
        pooling=replace(config.pooling, scale=scale, bias=bias, correction=correction),
        calibration=calibrated(config.calibration),
        frame_calibration=calibrated(config.frame_calibration),
    )


def with_row(head: heads.Head, config: ModelConfig, place: int, column: Array) -> tuple[heads.Head, ModelConfig]:
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


def chosen(head: heads.Head, config: ModelConfig, ids: Sequence[str]) -> tuple[heads.Head, ModelConfig]:
    """Return head and configuration with some of the labels alone; where the others correct them, they still do."""
    assert config.calibration and config.frame_calibration and config.pooling
    labels = config.tree.select(ids).labels
    places = [config.tree.index(label.id) for label in labels]
    correction = [config.pooling.correction[i] for i in places] if config.pooling.correction else []
    outputs = [*(label.id for label in config.labels), *config.context]
    needed = any(value for row in correction for value in row)
    order = [*places, *(i for i in range(len(outputs)) if needed and i not in places)]

    kept = tuple(tuple(row[i] for i in order) for row in correction) if needed else ()
    context = tuple(outputs[i] for i in order[len(places) :])
    made = _relabelled(config, lambda values, _: tuple(values[i] for i in places), labels, kept, context=context)
    return head.of(order), made
