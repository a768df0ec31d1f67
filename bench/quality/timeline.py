"""How far segments begin and end from where families really do.

    python -m bench timeline [--mixtures 40] [--data FOLDER] [--settings]

Materials: recordings made from formulas, of which each family's times are drawn (`synth`); the package's example
recordings, rendered from notes; and, with a folder of training material (or WHOPLAYS_DATA), real recordings of one family
each, three in a row with a second of silence or of overlap between them, whose times are those of their sound (40 dB below
their peak). A family's true stretches are compared with the segments heard: the distance of its
first onset and its last offset, the share of time (in steps of 0.1 s) that is right, and how many segments there are.
F1 is that of steps and families, the mean over families: it counts as well what was missed and what was never there.
Real recordings are those of the development half. With --settings the real ones are judged by other settings instead.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soxr

import whoplays
from bench.measure import keep
from bench.quality.real import RATE as REAL_RATE
from bench.quality.real import Recording, real_recordings
from whoplays.audio import reading
from whoplays.examples import demo, synth
from whoplays.inference.recogniser import Prediction
from whoplays.inference.segmentation import TimelineSettings
from whoplays.model import folder as model_folder
from whoplays.taxonomy.catalogue import catalogue

FAMILY_IDS = catalogue().defaults

ARGUMENTS = ("--data DATA",)
SMALL = "--mixtures 2"
RATE = 22050
SETTINGS = [
    {"low": low, "max_gap_s": gap, "min_length_s": length}
    for low, gap, length in itertools.product((0.4, 0.6, 0.8, 1.0), (0.4, 0.8, 1.3, 2.0), (0.5, 0.8))
]
FAMILIES = ("brass", "drums", "guitar", "piano", "strings")


def mixture(seed: int) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """Return samples of 20 s and (family, start, end) of two families, one of which comes and goes."""
    draw = np.random.default_rng([7, seed])
    first, second = draw.choice(len(FAMILIES), 2, replace=False)
    start = float(np.round(draw.uniform(2, 9), 2))
    end = float(np.round(start + draw.uniform(4, 10), 2))
    whole = synth.recording([FAMILIES[first]], duration_s=20, seed=[seed, 1], sample_rate=RATE)
    part = synth.recording([FAMILIES[second]], duration_s=end - start, seed=[seed, 2], sample_rate=RATE)
    at = round(start * RATE)
    mixed = 0.5 * whole
    mixed[at : at + len(part)] += 0.5 * part[: len(mixed) - at]
    return mixed, [(FAMILIES[first], 0.0, 20.0), (FAMILIES[second], start, end)]


def sequence(data: Path, seed: int) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """Return real recordings of three families in a row, and when each sounds."""
    draw = np.random.default_rng([11, seed])
    parts, truth, at = [], [], 0.0
    for family in draw.permutation([f for f in FAMILIES if _solos(data)[f]])[:3]:
        drawn = _solos(data)[family][draw.integers(len(_solos(data)[family]))]
        samples = soxr.resample(drawn.samples[: 8 * REAL_RATE], REAL_RATE, RATE)
        samples = 0.5 * samples / max(1e-6, float(np.abs(samples).max()))
        loud = np.flatnonzero(np.abs(samples) > 0.005)
        start = max(0.0, at + float(draw.choice([1.0, -1.0]))) if parts else 0.5
        parts.append((start, samples))
        truth.append((str(family), start + loud[0] / RATE, start + loud[-1] / RATE))
        at = start + len(samples) / RATE
    mixed = np.zeros(round((at + 1.0) * RATE), dtype=np.float32)
    for start, samples in parts:
        first = round(start * RATE)
        mixed[first : first + len(samples)] += samples
    return mixed, truth


@functools.cache
def _solos(data: Path) -> dict[str, list[Recording]]:
    """Return, for each family, the recordings of the development half of real/ in which it alone is known to play."""
    found: dict[str, list[Recording]] = {family: [] for family in FAMILIES}
    for recording in real_recordings(data, "development"):
        if recording.solo and np.abs(recording.samples).max() > 1e-3:
            found[FAMILY_IDS[int(recording.targets.argmax())]].append(recording)
    return found


def judge(prediction: Any, truth: list[tuple[str, float, float]]) -> list[dict[str, float]]:
    """Return, for each true stretch of a family that was found, how far off it is."""
    rows = []
    steps = np.arange(0.05, prediction.duration, 0.1)
    for family, start, end in truth:
        found = [s for s in prediction.segments if s.label == family]
        if not found:
            rows.append({"found": 0.0})
            continue
        heard = np.zeros(len(steps), dtype=bool)
        for s in found:
            heard |= (steps >= s.start) & (steps < s.end)
        right = heard == ((steps >= start) & (steps < end))
        rows.append(
            {
                "found": 1.0,
                "onset": abs(found[0].start - start),
                "offset": abs(found[-1].end - end),
                "right": float(right.mean()),
                "segments": float(len(found)),
            }
        )
    return rows


def f1_over_time(answers: list[Prediction], truths: list[list[tuple[str, float, float]]]) -> float:
    """Return F1 over steps of 0.1 s of all recordings, the mean over families."""
    counts = {family: np.zeros(3) for family in FAMILIES}  # right, heard, true
    for prediction, truth in zip(answers, truths, strict=True):
        steps = np.arange(0.05, prediction.duration, 0.1)
        for family in FAMILIES:
            heard = _within(steps, [(s.start, s.end) for s in prediction.segments if s.label == family])
            true = _within(steps, [(start, end) for name, start, end in truth if name == family])
            counts[family] += [(heard & true).sum(), heard.sum(), true.sum()]
    return float(np.mean([2 * right / (heard + true) for right, heard, true in counts.values() if true]))


def _within(steps: np.ndarray, stretches: list[tuple[float, float]]) -> np.ndarray:
    return np.any(
        [(steps >= start) & (steps < end) for start, end in stretches] or [np.zeros(len(steps), bool)], axis=0
    )


def by_settings(data: Path, mixtures: int) -> list[dict[str, Any]]:
    """Return a line for each of some settings, on the real recordings."""
    made = [sequence(data, seed) for seed in range(mixtures)]
    model = model_folder.read(None)
    lines = []
    for settings in SETTINGS:
        with tempfile.TemporaryDirectory() as folder:
            config = replace(model.config, timeline=TimelineSettings(**settings))
            other = model_folder.write(
                Path(folder, "model"), config, model.content(model_folder.NETWORK), "other settings"
            )
            recogniser = whoplays.load(other.folder)
            answers = [recogniser.predict(samples, sample_rate=RATE) for samples, _ in made]
        rows = [row for p, (_, truth) in zip(answers, made, strict=True) for row in judge(p, truth)]
        line = {key: value for key, value in summary("", rows).items() if key not in ("material", "stretches")}
        lines.append({**settings, "F1 over time": round(f1_over_time(answers, [t for _, t in made]), 3), **line})
    return lines


def summary(material: str, rows: list[dict[str, float]]) -> dict[str, Any]:
    """Return one line of the table."""
    found = [r for r in rows if r["found"]]
    onset, offset = [r["onset"] for r in found], [r["offset"] for r in found]
    return {
        "material": material,
        "stretches": len(rows),
        "family found": f"{len(found) / len(rows):.0%}",
        "onset off by (median, s)": float(np.median(onset)),
        "within 1 s": f"{np.mean(np.array(onset) <= 1):.0%}",
        "offset off by (median, s)": float(np.median(offset)),
        "time right": f"{np.mean([r['right'] for r in found]):.0%}",
        "segments for one stretch": float(np.mean([r["segments"] for r in found])),
    }


def main() -> None:
    """Hear both materials with the model inside the package."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mixtures", type=int, default=40)
    parser.add_argument("--data", type=Path, default=os.environ.get("WHOPLAYS_DATA"))
    parser.add_argument("--settings", action="store_true", help="compare settings on real recordings")
    asked = parser.parse_args()
    if asked.settings:
        if not asked.data:
            parser.error("--settings needs --data")
        lines = by_settings(Path(asked.data), asked.mixtures)
        keep(
            "timeline_settings",
            "How scores become segments: other settings",
            lines,
            peer="low 0.6, max_gap_s 0.8, min_length_s 0.5 (shipped)",
            packages=("onnxruntime",),
            remarks="Real recordings of the development half, three families in a row.",
        )
        return
    mixtures = asked.mixtures
    recogniser = whoplays.load()
    made = [mixture(seed) for seed in range(mixtures)]
    answers = [recogniser.predict(samples, sample_rate=RATE) for samples, _ in made]
    formulas = [row for p, (_, truth) in zip(answers, made, strict=True) for row in judge(p, truth)]
    known = json.loads((demo.EXAMPLES / "examples.json").read_text())
    rendered = []
    for name, facts in known.items():
        samples = reading.load(Path(demo.EXAMPLES, name), sample_rate=RATE)
        prediction = recogniser.predict(samples, sample_rate=RATE)
        rendered += judge(prediction, [tuple(stretch) for stretch in facts["playing"]])
    table = [summary("formulas, 20 s, one family comes and goes", formulas), summary("example recordings", rendered)]
    if asked.data:
        real = []
        for samples, truth in (sequence(Path(asked.data), seed) for seed in range(mixtures)):
            real += judge(recogniser.predict(samples, sample_rate=RATE), truth)
        table.append(summary("real recordings, three families in a row", real))
    step = float(np.diff(answers[0].edges).max())
    keep(
        "timeline",
        "When families play: onsets and offsets",
        table,
        peer="none",
        packages=("onnxruntime",),
        remarks=f"Model {recogniser.config.id}; one score every {step:.2f} s; settings {recogniser.config.timeline.to_dict()}. "
        "Formulas are unlike what the model was trained on, so a family is missed more often than in music.",
    )
