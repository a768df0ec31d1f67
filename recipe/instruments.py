"""Could the model's network name 20 instruments? A row of weights for each, on the network as it is, from labelled scenes.

python -m recipe.instruments DATA MATERIAL [MODEL] [--keep]

The labels are those of OpenMIC-2018. What plays in a rendered scene is known by name: recorded instruments, General MIDI
programs. Logistic regression on the network's last hidden layer, averaged over time, as `whoplays train --from` does it.
Judged on scenes of held-out sources, and on the development half of real/, where a clip's instrument is what its name says.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import soxr

from bench import measure
from bench.quality.real import RATE, real_recordings
from whoplays import features
from whoplays.evaluation import metrics
from whoplays.model import folder as model_folder
from whoplays.training import heads, logistic
from whoplays.training import material as store
from whoplays.training.adapt import PENALTY

#: label -> parts of the names of recorded instruments, General MIDI programs, parts of the names of real clips
LABELS: dict[str, tuple[tuple[str, ...], tuple[int, ...], tuple[str, ...]]] = {
    "accordion": (("accordion",), (21, 23), ("accordion",)),
    "banjo": (("banjo",), (105,), ("banjo",)),
    "bass": (("bass-electric", "double-bass"), (*range(32, 40), 43), ("double-bass",)),
    "cello": (("cello",), (42,), ("cello",)),
    "clarinet": (("clarinet",), (71,), ("clarinet",)),
    "cymbals": (("hihat", "crash", "ride", "cymbal", "drum-kit", "drum-machine"), (), ("hi-hat", "cymbal")),
    "drums": (("kick", "snare", "tom", "drum-kit", "drum-machine"), (), ("bass-drum", "snare", "drum-kit")),
    "flute": (("flute",), (73,), ("flute",)),
    "guitar": (("guitar",), tuple(range(24, 32)), ("guitar",)),
    "mallet percussion": (("xylophone", "vibraphone", "glockenspiel", "marimba"), (9, 11, 12, 13), ("vibraphone",)),
    "mandolin": (("mandolin",), (), ("mandolin",)),
    "organ": (("organ",), tuple(range(16, 21)), ("organ",)),
    "piano": (("piano",), tuple(range(6)), ("piano",)),
    "saxophone": (("saxophone",), (64, 65, 66, 67), ("saxophone",)),
    "synthesizer": ((), tuple(range(80, 96)), ("techno",)),
    "trombone": (("trombone",), (57,), ("trombone",)),
    "trumpet": (("trumpet",), (56, 59), ("trumpet",)),
    "ukulele": (("ukulele",), (), ("ukulele",)),
    "violin": (("violin",), (40,), ("violin",)),
    "voice": (("voice", "choir"), (52, 53, 54), ("voice", "singing", "speech")),
}
FEWEST = 20  # scenes that a label needs


def players(about: str) -> list[str]:
    """Return the names of what plays in a scene."""
    if about.startswith("single "):
        return [Path(part).parent.name for part in about.removeprefix("single ").split(" + ")]
    if about.startswith("noise "):
        return ["voice"] if "voice" in about else []
    return [name.strip() for name in about.partition(":")[2].split(",")]


def named(names: list[str]) -> np.ndarray:
    """Return 1 for each of the 20 labels that is among the names of players."""
    programs = {int(name.removeprefix("program-")) for name in names if name.startswith("program-")}
    return np.array(
        [
            float(bool(programs & set(numbers)) or any(part in name for part in parts for name in names))
            for parts, numbers, _ in LABELS.values()
        ]
    )


def heard(body: heads.Body, folder: Path, at_most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return hidden values (scenes, width) and labels (scenes, 20) of some scenes of each shard."""
    shards, values, labels = store.shards(folder), [], []
    for path in shards:
        rows = store.read([path])
        chosen = slice(0, -(-at_most // len(shards)))
        values += [hidden.mean(axis=1) for hidden in body.hidden(rows.features[chosen].astype(np.float32))]
        labels += [named(players(str(about))) for about in rows.about[chosen]]
    return np.concatenate(values), np.array(labels)


def real_clips(body: heads.Body, data: Path, config: model_folder.ModelConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return hidden values and labels of the development half."""
    values, labels, length = [], [], round(config.window_s * config.features.sample_rate)
    for clip in real_recordings(data, "development"):
        wave = np.resize(soxr.resample(clip.samples, RATE, config.features.sample_rate), length)
        (hidden,) = body.hidden(features.compute(wave, config.features)[None])
        values.append(hidden.mean(axis=1))
        labels.append([float(any(part in clip.instrument for part in parts)) for _, _, parts in LABELS.values()])
    return np.concatenate(values), np.array(labels)


def precision(targets: np.ndarray, logits: np.ndarray) -> str:
    """Return average precision, what chance would have, and how many there are; a dash where there are none."""
    if not targets.any():
        return "-"
    p = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    return (
        f"{metrics.average_precision(targets[:, None], p[:, None])[0]:.2f} ({targets.mean():.2f}; {int(targets.sum())})"
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("material", type=Path)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--scenes", type=int, default=8000)
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)
    found = model_folder.read(asked.model)
    body = heads.Body(heads.taken_off(found.content(model_folder.NETWORK))[0])
    x, y = heard(body, asked.material / "training", asked.scenes)
    held_out, held_out_y = heard(body, asked.material / "validation", asked.scenes)
    real, real_y = real_clips(body, asked.data, found.config)
    mean, deviation = x.mean(axis=0), x.std(axis=0) + 1e-3
    rows = []
    for i, label in enumerate(LABELS):
        row: dict[str, object] = {"label": label, "scenes": int(y[:, i].sum())}
        if y[:, i].sum() < FEWEST:
            rows.append(row | {"held-out scenes": "too little material", "real recordings": "-"})
            continue
        w = logistic.fit((x - mean) / deviation, y[:, i], penalty=PENALTY)
        logits = [((part - mean) / deviation) @ w[:-1] + w[-1] for part in (held_out, real)]
        judged = (precision(held_out_y[:, i], logits[0]), precision(real_y[:, i], logits[1]))
        rows.append(row | {"held-out scenes": judged[0], "real recordings": judged[1]})
        print(rows[-1], flush=True)
    if asked.keep:
        measure.keep(
            "instruments",
            f"20 instruments by the network of {found.config.id} as it is",
            rows,
            peer="chance",
            packages=("onnxruntime",),
            remarks="Average precision (by chance; clips). Scenes: labels of what is in them, however quiet.",
        )


if __name__ == "__main__":
    main()
