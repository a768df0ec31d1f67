"""The page about an evaluation. It opens offline: everything is inside the one file; no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ..results.html.layout import figure, page, table
from ..taxonomy.messages import speaker
from . import metrics, sets

if TYPE_CHECKING:
    from ..model.config import ModelConfig


def evaluation_page(facts: Mapping[str, Any], config: ModelConfig, figures: Mapping[str, str], lang: str = "en") -> str:
    """Return report.html: what was measured, on what, how good it was, with the figures inside."""
    return _Page(facts, config, figures, lang).html()


class _Page:
    """The parts of the page, in one language."""

    def __init__(self, facts: Mapping[str, Any], config: ModelConfig, figures: Mapping[str, str], lang: str) -> None:
        self.facts, self.config, self.figures, self.lang = facts, config, figures, lang
        self.data = facts["data_set"]
        self.say = speaker("evaluation", lang)

    def html(self) -> str:
        say, figures, data = self.say, self.figures, self.data
        title = say("title", model=self.facts["model"], folder=data["folder"])
        rows, recordings, draws = (
            f"{n:,}" for n in (data["rows"], data["recordings"], self.facts["bootstrap"]["draws"])
        )
        body = [
            f"<h1>{escape(title)}</h1>",
            f'<p class="lead">{escape(say("lead", split=data["split"], rows=rows, recordings=recordings))}</p>',
            self.cards(sets.SHOWN),
            self.heading("over_families"),
            self.cards(metrics.SHOWN),
            f"<p>{escape(say('intervals', draws=draws) if self.facts['intervals'] else say('no_intervals'))}</p>",
            self.heading("by_label"),
        ]
        if "families" in figures:
            body += [figure(figures["families"], say("bars")), figure(figures["curves/families"], say("curves"))]
        body.append(self.by_label())
        if "instruments" in figures:
            body += [self.heading("by_instrument"), self.cards((*sets.SHOWN, *metrics.SHOWN), "instruments/")]
            body.append(figure(figures["instruments"], say("bars_instruments")))
            body.append(figure(figures["curves/instruments"], say("curves_again")))
        body.append(self.heading("frequencies"))
        for level in ("families", "instruments"):
            if drawn := figures.get(f"reliability/{level}"):
                body.append(figure(drawn, say("reliability", level=say(level)), narrow=True))
        if confusions := [name for name in self.facts["confusion"] if f"confusion/{name}" in figures]:
            body.append(self.heading("mistaken"))
            for name in confusions:
                drawn = figure(figures[f"confusion/{name}"], say("confusion"), narrow=True)
                body += [f"<h3>{escape(group_name(self.config, name, self.lang))}</h3>", drawn, self.confusion(name)]
        body += [self.heading("measured"), self.measured()]
        if "history" in figures:
            body += [self.heading("training"), figure(figures["history"], say("history"))]
        body += [self.heading("model"), self.model()]
        return page(title, "\n".join(body), lang=self.lang)

    def heading(self, key: str) -> str:
        return f"<h2>{escape(self.say(key))}</h2>"

    def value(self, name: str) -> str:
        value = self.facts["metrics"].get(name)
        return self.say("not_defined") if value is None else f"{value:.3f}"

    def interval(self, name: str) -> str:
        low, high = self.facts["intervals"].get(name, (None, None))
        return "" if low is None or high is None else self.say("interval", low=f"{low:.3f}", high=f"{high:.3f}")

    def cards(self, names: Sequence[str], level: str = "") -> str:
        """Return figures over all labels of a level: families, or with "instruments/" those."""
        cards = []
        for name in names:
            cells = name == "accuracy" and self.facts["activation"] == "sigmoid"
            meaning = self.say("cell_accuracy" if cells else f"{name}.meaning")
            cards.append(
                f"<div><dt>{escape(self.say(name))}</dt><dd>{escape(self.value(level + name))}"
                f"<small>{escape(self.interval(level + name))}</small></dd><dd><small>{escape(meaning)}</small></dd></div>"
            )
        return f'<dl class="cards">{"".join(cards)}</dl>'

    def by_label(self) -> str:
        say, rows = self.say, []
        for label in self.config.labels:
            if label.id in self.data["labels_not_known"]:
                continue
            cells = [
                escape(self.config.tree.full_name(label.id, self.lang)),
                f"{self.data['positives'][label.id]:,}",
                f"{self.facts['thresholds'][label.id]:.3f}",
            ]
            for name in metrics.OF_LABEL:
                key = f"{label.id}/{name}"
                interval = escape(self.interval(key))
                cells.append(escape(self.value(key)) + (f"<br><small>{interval}</small>" if interval else ""))
            rows.append(cells)
        header = [say(key) for key in ("label", "rows_with", "threshold", *metrics.OF_LABEL)]
        return table(header, rows, caption=say("with_intervals"))

    def confusion(self, name: str) -> str:
        found = self.facts["confusion"][name]
        names = [self.config.tree[label].name(self.lang) for label in found["labels"]]
        rows = [[escape(label), *(f"{n:,}" for n in line)] for label, line in zip(names, found["matrix"], strict=True)]
        return table([self.say("plays"), *names], rows, caption=self.say("counts", rows=f"{found['rows']:,}"))

    def measured(self) -> str:
        say, data = self.say, self.data
        shifts = ", ".join(f"{s:+g}" if s else "0" for s in data["semitones"])
        several = "several_exclusive" if self.facts["activation"] == "softmax" else "several"
        unknown = ", ".join(self.config.tree[label].name(self.lang) for label in data["labels_not_known"])
        lines = [
            say("rows", rows=f"{data['rows']:,}", recordings=f"{data['recordings']:,}", shifts=shifts),
            say("unknown", cells=f"{data['cells_not_known']:,}"),
            *([say("labels_unknown", labels=unknown)] if unknown else []),
            say(several, rows=f"{data['rows_without_exactly_one_family']:,}"),
            say("definitions"),
            say("apart"),
        ]
        if "loss_with_penalty" in self.facts["metrics"]:
            lines.append(say("penalty", loss=self.value("loss_with_penalty")))
        return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"

    def model(self) -> str:
        say, config = self.say, self.config
        settings = config.training.get("settings")
        if isinstance(settings, Mapping):
            shown_settings = ", ".join(f"{name} {value}" for name, value in settings.items())
        else:
            shown_settings = say("not_told")
        features = config.features
        rows = [
            (say("name"), config.id),
            (say("labels"), ", ".join(label.id for label in config.labels)),
            (say("activation"), config.activation),
            (
                say("reads"),
                say("reads_what", kind=features.feature_type, width=features.n_features, rate=features.sample_rate),
            ),
            (say("window"), f"{config.window_s:g} s"),
        ]
        shown = table(["", ""], [[name, escape(value)] for name, value in rows], name=say("model"))
        return f"{shown}<p>{escape(say('trained'))} <code>{escape(shown_settings)}</code></p>"


def group_name(config: ModelConfig, name: str, lang: str) -> str:
    """Return what a confusion matrix is of: "families", or the family whose instruments it has."""
    return config.tree[name].name(lang) if name in config.tree else speaker("evaluation", lang)(name)
