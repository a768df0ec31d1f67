"""The page about an evaluation. It opens offline: everything is inside the one file; no script."""

# ruff: noqa: E501 - sentences for people

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ..results.html.layout import figure, page, table

if TYPE_CHECKING:
    from ..model.config import ModelConfig

_MEANING = {
    "set_f1": "of the named labels, at the model's thresholds",
    "set_precision": "of all labels named, how many play",
    "set_recall": "of all labels that play, how many are named",
    "set_exact": "rows whose every known label is right",
    "set_wrong": "labels named that do not play, a row",
    "set_missed": "labels that play and are not named, a row",
    "accuracy": "rows whose highest score is right",
    "cell_accuracy": "cells on the right side of 0.5",
    "precision": "of all scores over 0.5, how many are right",
    "recall": "of all that plays, how much is over 0.5",
    "loss": "cross-entropy; lower is better",
    "f1_macro": "mean over labels, at the model's thresholds",
    "average_precision_macro": "mean over labels, no threshold",
    "calibration_error": "how far scores are from frequencies",
}
_NAMES = {
    "set_f1": "F1 of the named set",
    "set_precision": "precision of the named set",
    "set_recall": "recall of the named set",
    "set_exact": "exactly right",
    "set_wrong": "named wrongly",
    "set_missed": "missed",
    "f1_macro": "mean F1 of the labels",
    "average_precision_macro": "mean average precision",
    "calibration_error": "calibration error",
}
#: What a user sees comes first.
_SET = ("set_exact", "set_f1", "set_precision", "set_recall", "set_wrong", "set_missed")
_OVER_LABELS = (
    "average_precision_macro",
    "calibration_error",
    "f1_macro",
    "accuracy",
    "precision",
    "recall",
    "loss",
)


def _value(facts: Mapping[str, Any], name: str, *, digits: int = 3) -> str:
    value = facts["metrics"].get(name)
    return "not defined" if value is None else f"{value:.{digits}f}"


def _interval(facts: Mapping[str, Any], name: str) -> str:
    low, high = facts["intervals"].get(name, (None, None))
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def evaluation_page(facts: Mapping[str, Any], config: ModelConfig, figures: Mapping[str, str]) -> str:
    """Return report.html: what was measured, on what, how good it was, with the figures inside."""
    data = facts["data_set"]
    body = [
        f"<h1>{escape(facts['model'])} on {escape(data['folder'])}</h1>",
        f'<p class="lead">Split “{escape(data["split"])}”: {data["rows"]:,} rows of {data["recordings"]:,} recordings.</p>',
        _cards(facts, _SET),
        "<h2>Over all families</h2>",
        _cards(facts, _OVER_LABELS),
        _intervals_told(facts),
        "<h2>By label</h2>",
        figure(
            figures["families"], "Precision, recall and F1 at the model's thresholds; average precision needs none."
        ),
        figure(
            figures["curves families"], "Precision against recall at every threshold. Dot: the model's own threshold."
        ),
        _by_label(facts, config),
    ]
    if "instruments" in figures:
        caption = "Instruments, where it is known which of them play."
        body += ["<h2>By instrument</h2>", _cards(facts, (*_SET, *_OVER_LABELS), "instruments/")]
        body.append(figure(figures["instruments"], caption))
        body.append(figure(figures["curves instruments"], "Precision against recall, as above."))
    body.append("<h2>Can scores be taken for frequencies?</h2>")
    for level in ("families", "instruments"):
        if f"reliability {level}" in figures:
            caption = f"All {level}: on the dashed line, of scores of 0.7 seven in ten play. Below: how many there are."
            body.append(figure(figures[f"reliability {level}"], caption, narrow=True))
    if confusions := [name for name in facts["confusion"] if f"confusion {name}" in figures]:
        caption = "Rows: what plays. Columns: the highest score. Only rows with exactly one of these labels, all of them known."
        body.append("<h2>What is taken for what</h2>")
        for name in confusions:
            body += [f"<h3>{escape(name)}</h3>", figure(figures[f"confusion {name}"], caption, narrow=True)]
            labels, matrix = facts["confusion"][name]["labels"], facts["confusion"][name]["matrix"]
            counts = [[escape(label), *(f"{n:,}" for n in row)] for label, row in zip(labels, matrix, strict=True)]
            rows = f"Counts over {facts['confusion'][name]['rows']:,} rows."
            body.append(table(["plays", *labels], counts, caption=rows))
    body += ["<h2>What was measured</h2>", _measured(facts)]
    if "history" in figures:
        body += ["<h2>Training</h2>", figure(figures["history"], "On its training rows (dashed) and validation rows.")]
    body += ["<h2>The model</h2>", _model(config)]
    return page(f"{facts['model']} on {data['folder']}", "\n".join(body))


def _cards(facts: Mapping[str, Any], names: Sequence[str], level: str = "") -> str:
    """Return figures over all labels of a level: families, or with "instruments/" those."""
    cards = []
    for name in names:
        meaning = _MEANING["cell_accuracy" if name == "accuracy" and facts["activation"] == "sigmoid" else name]
        interval = _interval(facts, level + name)
        cards.append(
            f"<div><dt>{escape(_NAMES.get(name, name))}</dt><dd>{_value(facts, level + name)}"
            f"<small>{escape(interval)}</small></dd><dd><small>{escape(meaning)}</small></dd></div>"
        )
    return f'<dl class="cards">{"".join(cards)}</dl>'


def _intervals_told(facts: Mapping[str, Any]) -> str:
    if not facts["intervals"]:
        return "<p>No intervals were asked for.</p>"
    draws = facts["bootstrap"]["draws"]
    return (
        f"<p>Under each figure: its 95 % interval over recordings (bootstrap, {draws:,} draws of whole recordings). It says how much "
        "the figure hangs on which recordings were tested, not how the model would do on other kinds of recordings.</p>"
    )


def _by_label(facts: Mapping[str, Any], config: ModelConfig) -> str:
    rows = []
    for label in config.labels:
        cells = [
            escape(label.en) if label.parent is None else f"{escape(config.tree[label.parent].en)}: {escape(label.en)}",
            f"{facts['data_set']['positives'][label.id]:,}",
            f"{facts['thresholds'][label.id]:.3f}",
        ]
        for name in ("precision", "recall", "f1", "average_precision", "roc_auc"):
            key = f"{label.id}/{name}"
            interval = _interval(facts, key)
            cells.append(_value(facts, key) + (f"<br><small>{interval}</small>" if interval else ""))
        rows.append(cells)
    header = ["label", "rows with it", "threshold", "precision", "recall", "F1", "average precision", "ROC AUC"]
    return table(header, rows, caption="With 95 % intervals over recordings.")


def _measured(facts: Mapping[str, Any]) -> str:
    data = facts["data_set"]
    several = data["rows_without_exactly_one_family"]
    shifts = ", ".join(f"{s:+g}" if s else "0" for s in data["semitones"])
    lines = [
        f"{data['rows']:,} rows of {data['recordings']:,} recordings; pitch variants: {shifts} semitones.",
        f"{data['cells_not_known']:,} cells are not known and were counted neither way.",
        f"{several:,} rows do not have exactly one family, all families known; they are not in the families' confusion matrix"
        + (", the accuracy or the loss." if facts["activation"] == "softmax" else "."),
        "The named set of a row: the labels that reach their thresholds. "
        "Precision and recall over all labels are over all cells at 0.5, as Keras and the report define them; by label they are at the "
        "model's own thresholds.",
        "The recordings of this split took no part in training if the data set was built by recording; nothing here can check "
        "that for a model that was trained elsewhere.",
    ]
    if "loss_with_penalty" in facts["metrics"]:
        lines.append(
            f"With the penalty on weights, as Keras reports it, the loss is {_value(facts, 'loss_with_penalty')}."
        )
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _model(config: ModelConfig) -> str:
    settings = config.training.get("settings")
    told = (
        ", ".join(f"{name} {value}" for name, value in settings.items())
        if isinstance(settings, Mapping)
        else "not told"
    )
    rows = [
        ["name", escape(config.id)],
        ["labels", escape(", ".join(label.id for label in config.labels))],
        ["activation", escape(config.activation)],
        [
            "reads",
            escape(
                f"{config.features.feature_type}, {config.features.n_features} values a frame, {config.features.sample_rate} Hz"
            ),
        ],
        ["window", f"{config.window_s:g} s"],
    ]
    return table(["", ""], rows) + f"<p>Trained with: <code>{escape(told)}</code></p>"
