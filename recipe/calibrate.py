"""Set a model's calibration and thresholds by real recordings: the development half of real/, and scenes of held-out sources.

python -m recipe.calibrate MODEL DATA MATERIAL

Writes MODEL anew; the network stays as it is. What it fits are two numbers a family (Platt 1999) and a threshold, on
clips, on sums of two clips, on sounds of no family, and on made-up scenes, the latter from sources that training never
heard. The test half of real/ is not touched. A threshold is that of the best F1 over the real ones, times `LOWERED`: to
hear one member of a duet only is the worse mistake.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.quality.real import Recording, duets, noises, real_recordings
from whoplays import load
from whoplays.evaluation import metrics
from whoplays.model import folder as model_folder
from whoplays.training import material as store
from whoplays.training.calibrate import platt
from whoplays.training.material import clip_targets

LOWERED = 0.75
Array = NDArray[np.float32]


def logits_of(model: Path, recordings: Sequence[Recording]) -> Array:
    """Return what the network says of recordings, before calibration, through the whole of `predict`."""
    recogniser = load(model)
    calibration = recogniser.config.calibration
    assert calibration is not None, f"{model} has no calibration"
    scores = [list(recogniser.predict(r.samples, sample_rate=32000).scores.values()) for r in recordings]
    p = np.clip(np.array(scores), 1e-5, 1 - 1e-5)
    calibrated = np.log(p / (1 - p))
    return np.asarray((calibrated - np.array(calibration.bias)) / np.array(calibration.scale), dtype=np.float32)


def scene_logits(model: Path, material: Path) -> tuple[Array, Array]:
    """Return targets and logits of the scenes of held-out sources, halved as `predict` meets them."""
    network, rows = model_folder.Network(model_folder.read(model)), store.read(store.shards(material / "validation"))
    logits = [network.run(part.astype(np.float32))["logits"] for part in np.array_split(rows.features, 24)]
    return clip_targets(rows.targets.astype(np.float32)), np.concatenate(logits)


def threshold(targets: Array, scores: Array) -> float:
    """Return one family's threshold from targets and calibrated scores (n,); see the module's text."""
    known = ~np.isnan(targets)
    best = metrics.best_thresholds(targets[known][:, None], scores[known][:, None])[0]
    return round(LOWERED * float(best), 2)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("material", type=Path)
    asked = parser.parse_args()

    clips = real_recordings(asked.data, "development")
    heard = [*clips, *duets(clips, seed=1), *noises(asked.data, "development")]
    real, targets = logits_of(asked.model, heard), np.stack([recording.targets for recording in heard])
    made_targets, made = scene_logits(asked.model, asked.material)
    calibration = platt(np.concatenate([real, made]), np.concatenate([targets, made_targets]))
    scores = model_folder.activate(real, "sigmoid", calibration)
    thresholds = tuple(threshold(targets[:, i], scores[:, i]) for i in range(targets.shape[1]))
    model_folder.update(asked.model, calibration=calibration, frame_calibration=calibration, thresholds=thresholds)
    print(calibration, thresholds)


if __name__ == "__main__":
    main()
