"""For other programs that show or score segments: Audacity, Sonic Visualiser, RTTM, JAMS."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import quoteattr

from ... import __version__
from ...inference.prediction import Prediction
from ...taxonomy.tree import Tree
from .base import PredictionWriter
from .data import to_json


class Audacity(PredictionWriter):
    """Audacity's label track: start, end, text, separated by tabs, seconds (File > Import > Labels).

    An instrument stands behind its family: strings: violin 0.93.
    """

    suffix = ".txt"
    many = False
    grows = False

    def prediction(self, result: Prediction) -> str:
        tree = Tree(self.labels)
        names = {label: tree.full_name(label, self.lang) for label in tree.ids}
        return "".join(f"{s.start:.6f}\t{s.end:.6f}\t{names[s.label]} {s.score:.2f}\n" for s in result.segments)


class SonicVisualiser(PredictionWriter):
    """An annotation layer of Sonic Visualiser: a region for each segment, a row for each label (File > Open, or drop it).

    Its times are samples at the recording's own rate, so open it over the recording, at its rate.
    """

    suffix = ".svl"
    many = False
    grows = False

    def prediction(self, result: Prediction) -> str:
        tree, rate = Tree(self.labels), result.sample_rate
        rows = [label.id for label in tree.outline(result.playing) if label.id in result.playing][::-1]
        points = "".join(
            f'      <point frame="{round(s.start * rate)}" value="{rows.index(s.label) + 1}" '
            f'duration="{round((s.end - s.start) * rate)}" '
            f"label={quoteattr(f'{tree.full_name(s.label, self.lang)} {s.score:.2f}')} />\n"
            for s in result.segments
        )
        name = quoteattr(f"whoplays {result.model}")
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE sonic-visualiser>\n<sv>\n  <data>\n'
            f'    <model id="1" name={name} sampleRate="{rate}" start="0" end="{round(result.duration * rate)}" '
            'type="sparse" dimensions="3" resolution="1" notifyOnAdd="true" dataset="0" subtype="region" '
            f'valueQuantization="0" minimum="0" maximum="{len(rows) + 1}" units="" />\n'
            f'    <dataset id="0" dimensions="3">\n{points}    </dataset>\n  </data>\n  <display>\n'
            f'    <layer id="2" type="regions" name={name} model="1" verticalScale="0" plotStyle="0" '
            'colourName="Blue" colour="#1f77b4" darkBackground="false" />\n  </display>\n</sv>\n'
        )


class Rttm(PredictionWriter):
    """NIST's Rich Transcription Time Marked: a SPEAKER line for each segment, the label as the speaker (NIST RT-09)."""

    suffix = ".rttm"

    def prediction(self, result: Prediction) -> str:
        """Return a line for each segment; white space in names becomes _."""
        name = "_".join(result.path.split()) or "-"
        return "".join(
            f"SPEAKER {name} 1 {s.start:.3f} {s.end - s.start:.3f} <NA> <NA> {'_'.join(s.label.split())} {s.score:.4f} <NA>\n"
            for s in result.segments
        )


class Jams(PredictionWriter):
    """JAMS 0.3 (Humphrey et al. 2014): one `tag_open` annotation with a tag for each segment, and one of whole-file scores.

    `sandbox` has the family of each instrument, and which labels play and which may play.
    """

    suffix = ".jams"
    many = False
    grows = False

    def prediction(self, result: Prediction) -> str:
        when = [self._observation(s.start, s.end - s.start, s.label, s.score) for s in result.segments]
        whole = [self._observation(0.0, result.duration, label, score) for label, score in result.scores.items()]
        document = {
            "annotations": [
                self._annotation(result, when, "segments"),
                self._annotation(result, whole, "whole recording"),
            ],
            "file_metadata": {
                "title": result.path,
                "artist": "",
                "release": "",
                "duration": result.duration,
                "identifiers": {},
                "jams_version": "0.3.4",
            },
            "sandbox": {
                "families": {label.id: label.parent for label in self.labels if label.parent},
                "playing": result.playing,
                "maybe": result.maybe,
            },
        }
        return to_json(document, indent=2) + "\n"

    @staticmethod
    def _observation(start: float, duration: float, value: str, confidence: float) -> dict[str, Any]:
        return {"time": start, "duration": round(duration, 3), "value": value, "confidence": confidence}

    @staticmethod
    def _annotation(result: Prediction, data: list[dict[str, Any]], what: str) -> dict[str, Any]:
        curator = {"name": "", "email": ""}
        about = {
            "annotation_tools": f"whoplays {__version__}",
            "annotation_rules": what,
            "annotator": {},
            "corpus": "",
            "curator": curator,
            "data_source": f"program: {result.model}",
            "validation": "",
            "version": "1",
        }
        return {
            "namespace": "tag_open",
            "annotation_metadata": about,
            "data": data,
            "time": 0,
            "duration": result.duration,
            "sandbox": {},
        }
