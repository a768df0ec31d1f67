"""How far segments begin and end from where families really do.

    python -m bench timeline [--mixtures 40] [--data FOLDER] [--settings]

Materials: recordings made from formulas, of which each family's times are drawn (`synth`); the package's example
recordings, rendered from notes; and, with a folder of training material (or WHOPLAYS_DATA), songs of which it is known who
plays when, and real recordings of one family each (of the development half), three in a row with a second of silence or of
overlap between them, whose times are those of their sound (40 dB below their peak). Measures: `whoplays.evaluation.segments`,
families that play and families that do not. With --settings, songs and real recordings by other settings of the timeline.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soxr

import whoplays
from bench.measure import keep
from bench.quality.real import FAMILY_IDS as FAMILIES
from bench.quality.real import RATE as REAL_RATE
from bench.quality.real import Recording, real_recordings
from bench.quality.songs import songs
from whoplays.audio import reading
from whoplays.cli.demo import EXAMPLES
from whoplays.evaluation import segments
from whoplays.evaluation.segments import Timeline
from whoplays.examples import synth
from whoplays.inference.prediction import Prediction
from whoplays.inference.recogniser import Recogniser
from whoplays.model import folder as model_folder

ARGUMENTS = ("--data DATA",)
SMALL = "--mixtures 2"
RATE = 22050
SETTINGS = [
    {"low": low, "max_gap_s": gap, "min_length_s": length}
    for low, gap, length in itertools.product((0.4, 0.6, 0.8, 1.0), (0.4, 0.8, 1.3, 2.0), (0.5, 0.8))
]
MEASURES = {
    "F1": "frame_f1",
    "precision": "frame_precision",
    "recall": "frame_recall",
    "onsets F1": "onset_f1",
    "offsets F1": "offset_f1",
    "onset and offset F1": "event_f1",
    "segments for each true one": "segments_per_true",
}
Example = tuple[np.ndarray, Timeline]


def timeline(stretches: Sequence[tuple[str, float, float]]) -> Timeline:
    """Return when each family plays for (family, start, end); those that are not named never do."""
    return {family: np.array([(a, b) for name, a, b in stretches if name == family]) for family in FAMILIES}


def mixture(seed: int) -> Example:
    """Return 20 s of two families, one of which comes and goes."""
    draw = np.random.default_rng([7, seed])
    first, second = draw.choice(len(FAMILIES), 2, replace=False)
    start = float(np.round(draw.uniform(2, 9), 2))
    end = float(np.round(start + draw.uniform(4, 10), 2))
    whole = synth.recording([FAMILIES[first]], duration_s=20, seed=[seed, 1], sample_rate=RATE)
    part = synth.recording([FAMILIES[second]], duration_s=end - start, seed=[seed, 2], sample_rate=RATE)
    at = round(start * RATE)
    mixed = 0.5 * whole
    mixed[at : at + len(part)] += 0.5 * part[: len(mixed) - at]
    return mixed, timeline([(FAMILIES[first], 0.0, 20.0), (FAMILIES[second], start, end)])


def sequence(data: Path, seed: int) -> Example:
    """Return real recordings of three families in a row, and when each sounds."""
    draw = np.random.default_rng([11, seed])
    parts: list[tuple[float, Any]] = []
    truth, at = [], 0.0
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
    return mixed, timeline(truth)


@functools.cache
def _solos(data: Path) -> dict[str, list[Recording]]:
    """Return, for each family, the recordings of the development half of real/ in which it alone is known to play."""
    found: dict[str, list[Recording]] = {family: [] for family in FAMILIES}
    for recording in real_recordings(data, "development"):
        if recording.solo and np.abs(recording.samples).max() > 1e-3:
            found[FAMILIES[int(recording.targets.argmax())]].append(recording)
    return found


def timeline_of(prediction: Prediction) -> Timeline:
    """Return when each family plays by its segments."""
    return {
        family: np.array([(s.start, s.end) for s in prediction.segments if s.label == family and s.end > s.start])
        for family in FAMILIES
    }


def materials(data: Path | None, mixtures: int) -> dict[str, list[Example]]:
    """Return recordings with the times of their families, by what they are."""
    examples = json.loads((EXAMPLES / "examples.json").read_text())
    found = {
        "formulas, 20 s, one family comes and goes": [mixture(seed) for seed in range(mixtures)],
        "example recordings": [
            (reading.load(Path(EXAMPLES, name), sample_rate=RATE), timeline(facts["playing"]))
            for name, facts in examples.items()
        ],
    }
    return found | real_materials(data, mixtures) if data else found


def real_materials(data: Path, mixtures: int) -> dict[str, list[Example]]:
    """Return those of the training material."""
    timed = [song for song in songs(data) if song.activity]
    return {
        "songs": [(soxr.resample(song.recording.samples, REAL_RATE, RATE), song.timeline()) for song in timed],
        "real recordings, three families in a row": [sequence(data, seed) for seed in range(mixtures)],
    }


def row(material: str, examples: Sequence[Example], recogniser: Recogniser) -> dict[str, Any]:
    """Return one line of the table."""
    estimates = [timeline_of(recogniser.predict(samples, sample_rate=RATE)) for samples, _ in examples]
    figures, _ = segments.evaluate([truth for _, truth in examples], estimates, draws=0)
    return {"material": material, "recordings": len(examples)} | {
        name: round(figures[metric], 3) for name, metric in MEASURES.items()
    }


def by_settings(data: Path, mixtures: int) -> list[dict[str, Any]]:
    """Return a line for each material and some settings."""
    made, model, lines = real_materials(data, mixtures), model_folder.read(None), []
    for settings in SETTINGS:
        with tempfile.TemporaryDirectory() as folder:
            config = replace(model.config, timeline=replace(model.config.timeline, **settings))
            other = model_folder.write(
                Path(folder, "model"), config, model.content(model_folder.NETWORK), "other settings"
            )
            recogniser = whoplays.load(other.folder)
        lines += [{**settings, **row(material, examples, recogniser)} for material, examples in made.items()]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mixtures", type=int, default=40)
    parser.add_argument("--data", type=Path, default=os.environ.get("WHOPLAYS_DATA"))
    parser.add_argument("--settings", action="store_true", help="compare settings of the timeline")
    args = parser.parse_args()
    data = Path(args.data) if args.data else None
    recogniser = whoplays.load()
    shipped = recogniser.config.timeline.to_dict()
    about = (
        f"Model {recogniser.config.id}. Frames of {segments.FRAME_S:g} s; onsets within {segments.COLLAR_S:g} s, offsets within "
        f"that or {segments.OFFSET_RATIO:.0%} of the true segment."
    )
    if args.settings:
        if not data:
            parser.error("--settings needs --data")
        keep(
            "timeline_settings",
            "How scores become segments: other settings",
            by_settings(data, args.mixtures),
            peer=f"{shipped} (shipped)",
            packages=("onnxruntime",),
            remarks=about,
        )
        return
    keep(
        "timeline",
        "When families play: onsets and offsets",
        [row(material, examples, recogniser) for material, examples in materials(data, args.mixtures).items()],
        peer="none",
        packages=("onnxruntime",),
        remarks=f"{about} Settings {shipped}. "
        "Formulas are unlike what the model was trained on, so a family is missed more often than in music.",
    )
