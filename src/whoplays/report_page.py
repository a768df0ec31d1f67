"""Pages that open offline: an evaluation, and one recording looked at. Everything is inside the one file; no script."""

# ruff: noqa: E501 - style sheet and sentences for people

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from . import __version__

if TYPE_CHECKING:
    from .bundle import ModelConfig
    from .predict import Prediction

#: The style sheet of every page, light and dark.
STYLE = """
:root { color-scheme: light dark; --ink: #1c2127; --soft: #59636e; --line: #d5dae0; --paper: #fff; --card: #f6f8fa; --mark: #0b62a8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --soft: #9aa4af; --line: #343b44; --paper: #14181d; --card: #1c2128; --mark: #6cb6ff; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .6rem; }
p, li { max-width: 46rem; }
.lead { color: var(--soft); margin: 0 0 1.6rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(12.5rem, 44%), 1fr)); gap: .8rem; margin: 1.2rem 0; padding: 0; }
.cards div { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem; }
.cards dt { color: var(--soft); font-size: .85rem; }
.cards dd { margin: 0; font-size: 1.65rem; font-variant-numeric: tabular-nums; }
.cards small { display: block; font-size: .8rem; color: var(--soft); }
figure { margin: 1rem 0; overflow-x: auto; }
figure svg { width: 100%; height: auto; max-height: 34rem; color: var(--ink); font-family: inherit; }
figure.narrow svg { max-width: 31rem; }
@media (max-width: 40rem) { figure:not(.narrow) svg { min-width: 38rem; } .cards dd { font-size: 1.35rem; } }
figcaption { color: var(--soft); font-size: .9rem; max-width: 46rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .93rem; margin: .6rem 0; }
caption { text-align: left; color: var(--soft); padding-bottom: .3rem; }
th, td { padding: .34rem .8rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child { text-align: left; }
thead th { color: var(--soft); font-weight: 600; }
td small { color: var(--soft); }
code { background: var(--card); padding: .1em .3em; border-radius: .25em; overflow-wrap: anywhere; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; border-top: 1px solid var(--line); padding-top: .8rem; }
@media print { body { font-size: 11pt; } main { padding: 0; } h2 { break-after: avoid; } figure, table { break-inside: avoid; } }
"""

_MEANING = {
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
    "f1_macro": "F1",
    "average_precision_macro": "mean average precision",
    "calibration_error": "calibration error",
}


def page(title: str, body: str, *, lang: str = "en") -> str:
    """Return a whole HTML page. body: HTML that was escaped where it had to be."""
    return (
        f'<!doctype html>\n<html lang="{escape(lang)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n"
        f"<footer>Made by whoplays {escape(__version__)}.</footer>\n</main>\n</body>\n</html>\n"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "") -> str:
    """Return a table; the first cell of each row heads it. Cells are HTML; header and caption are plain text."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    lines = "".join(
        f'<tr><th scope="row">{row[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in row[1:]) + "</tr>\n"
        for row in rows
    )
    told = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="scroll"><table>{told}<thead><tr>{top}</tr></thead>\n<tbody>\n{lines}</tbody></table></div>'


def _figure(picture: str, caption: str, *, narrow: bool = False) -> str:
    return f"<figure{' class=narrow' if narrow else ''}>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


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
        _cards(facts),
        _intervals_told(facts),
        "<h2>By label</h2>",
        _figure(figures["labels"], "Precision, recall and F1 at the model's thresholds; average precision needs none."),
        _by_label(facts, config),
    ]
    if "confusion" in figures:
        caption = "Rows: what plays. Columns: the highest score. Only rows with exactly one label, all labels known."
        body += [
            "<h2>What is taken for what</h2>",
            _figure(figures["confusion"], caption, narrow=True),
            _confusion(facts),
        ]
    body += ["<h2>What was measured</h2>", _measured(facts)]
    if "history" in figures:
        body += ["<h2>Training</h2>", _figure(figures["history"], "On its training rows (dashed) and validation rows.")]
    body += ["<h2>The model</h2>", _model(config)]
    return page(f"{facts['model']} on {data['folder']}", "\n".join(body))


def _cards(facts: Mapping[str, Any]) -> str:
    names = ["accuracy", "precision", "recall", "loss", "f1_macro", "average_precision_macro", "calibration_error"]
    cards = []
    for name in names:
        meaning = _MEANING["cell_accuracy" if name == "accuracy" and facts["activation"] == "sigmoid" else name]
        interval = _interval(facts, name)
        cards.append(
            f"<div><dt>{escape(_NAMES.get(name, name))}</dt><dd>{_value(facts, name)}"
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
            escape(label.en),
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


def _confusion(facts: Mapping[str, Any]) -> str:
    labels = facts["confusion"]["labels"]
    rows = [
        [escape(label), *(f"{n:,}" for n in line)]
        for label, line in zip(labels, facts["confusion"]["matrix"], strict=True)
    ]
    return table(["plays", *labels], rows, caption=f"Counts over {facts['confusion']['rows']:,} rows.")


def _measured(facts: Mapping[str, Any]) -> str:
    data = facts["data_set"]
    several = data["rows_without_exactly_one_label"]
    shifts = ", ".join(f"{s:+g}" if s else "0" for s in data["semitones"])
    lines = [
        f"{data['rows']:,} rows of {data['recordings']:,} recordings; pitch variants: {shifts} semitones.",
        f"{data['cells_not_known']:,} cells are not known and were counted neither way.",
        f"{several:,} rows do not have exactly one known label; they are not in the confusion matrix"
        + (", the accuracy or the loss." if facts["activation"] == "softmax" else "."),
        "Precision and recall above are over all cells at 0.5, as Keras and the report define them; by label they are at the "
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
            escape(f"{config.features.kind}, {config.features.width} values a frame, {config.features.sample_rate} Hz"),
        ],
        ["window", f"{config.window_s:g} s"],
    ]
    return table(["", ""], rows) + f"<p>Trained with: <code>{escape(told)}</code></p>"


def recording_page(prediction: Prediction, config: ModelConfig, picture: str, *, name: str, lang: str = "en") -> str:
    """Return a page for one recording: its figure, scores and segments."""
    names = {label.id: label.name(lang) for label in config.labels}
    polish = lang == "pl"
    limits = dict(zip(prediction.scores, config.thresholds, strict=True))
    yes, no = ("tak", "nie") if polish else ("yes", "no")
    scores = [
        [escape(names[i]), f"{score:.3f}", f"{limits[i]:.3f}", yes if i in prediction.playing else no]
        for i, score in prediction.scores.items()
    ]
    stretches = [
        [escape(names[s.family]), f"{s.start:.2f}", f"{s.end:.2f}", f"{s.score:.2f}"] for s in prediction.segments
    ]
    lead = f"{prediction.duration:.2f} s, {prediction.sample_rate} Hz, model {prediction.model}"
    header = ["instrument", "wynik", "próg", "gra"] if polish else ["instrument", "score", "threshold", "plays"]
    body = [
        f"<h1>{escape(name)}</h1>",
        f'<p class="lead">{escape(lead)}</p>',
        _figure(
            picture, ("Przebieg, kto kiedy gra, i wyniki." if polish else "Waveform, who plays when, and the scores.")
        ),
        table(header, scores),
    ]
    if stretches:
        times = ["instrument", "od (s)", "do (s)", "wynik"] if polish else ["instrument", "from (s)", "to (s)", "score"]
        body.append(table(times, stretches))
    return page(name, "\n".join(body), lang=lang)
