"""`whoplays train --from MODEL`: a trained model learns a user's own labels from a few recordings, in seconds.

The network's body stays as it is, and each label gets a row of its own in the head (few_shot.py), learnt against a *background*
(background.py): without it a handful of recordings separates the labels from each other, but not from all other sounds.
Labels that the user brings no recordings of keep their rows, and so their scores, to the last bit; those the user does bring
are moved as little as the recordings allow. No training framework is needed: ONNX Runtime computes, `onnx` rewrites the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import features
from ..audio import reading
from ..dataset.content import grouped
from ..dataset.sources import Skipped, causes, read_source
from ..errors import AudioError, DatasetError, ModelError, UsageError
from ..model import folder as model_folder
from ..model.config import ModelConfig
from ..storage.address import Place, place
from ..storage.cache import recording
from ..storage.files import only_writer
from ..taxonomy.tree import Label
from . import background, few_shot, heads
from .augment import FRAMES_PER_STEP

Array = NDArray[np.float32]

WINDOWS = 6  # of one recording, at most


@dataclass(frozen=True)
class Adapted:
    """What was made: the model folder, the labels learnt, examples of each, average precision on recordings left out in turn.

    right: of how many recordings, each judged by a fit without it, exactly its labels would be named, and of how many.
    skipped: files that were not used, and why. remarks: on copies, and on the same file under different labels.
    """

    folder: Path
    learnt: tuple[str, ...]
    recordings: dict[str, int]
    average_precision: dict[str, float]
    right: tuple[int, int]
    background: int
    skipped: list[Skipped]
    remarks: list[str]


def adapt(
    source: Place | str,
    out: Path | str,
    *,
    base: Path | str | None = None,
    only_mine: bool = False,
    name: str = "",
    seed: int = 0,
) -> Adapted:
    """Teach `base` (None: the model inside the package) the labels of `source`, and write a model folder to `out`.

    source: a folder with a sub-folder of recordings for each label, or a manifest (see dataset/sources.py). only_mine:
    leave out the base's labels that the source does not have. Raises `DatasetError`, `ModelError`, `UsageError`.
    """
    found, source, out = model_folder.read(None if base is None else Path(base)), place(source), Path(out)
    if (out / model_folder.CONFIG).exists():
        raise UsageError(f"{out}: holds a finished model; name another folder")
    if found.config.activation != "sigmoid":
        raise ModelError(f"{found.folder}: its labels exclude each other; --from needs a model of the recipe default")
    model_folder.Network(found)  # looks through the file, and refuses what is no model
    try:
        body, head = heads.split_head(found.content(model_folder.NETWORK))
    except ModelError as error:
        raise ModelError(f"{found.folder}: {error}") from None
    labels, windows, skipped, remarks = _read(source, found.config)
    body, head, width = heads.with_direction(body, head)
    known = background.background_of(found, len(head.weights))
    base_model = few_shot.Base(found.config, heads.Body(body), head, width, known)
    with only_writer(out):
        learnt = few_shot.learn(base_model, labels, windows, only_mine=only_mine, name=name, seed=seed)
        precision = learnt.average_precision
        counts = {
            label.id: len(np.unique(windows.recordings[windows.targets[:, i] == 1])) for i, label in enumerate(labels)
        }
        network = heads.attach_head(body, learnt.head)
        facts = {
            "recipe": "adapted",
            "from": found.config.id,
            "recordings": counts,
            "average_precision": precision,
            "right": list(learnt.right),
            "seed": seed,
            "base": dict(found.config.training),
        }
        config = replace(learnt.config, training=facts)
        model_folder.write(out, config, network, _card(config, found.config, counts, precision))
        if len(known):  # the body is the same, so the background is: an adapted model can be adapted again
            background.write_background(out, known)
    return Adapted(out, tuple(counts), counts, precision, learnt.right, len(known), skipped, remarks)


def _read(source: Place, config: ModelConfig) -> tuple[tuple[Label, ...], few_shot.Windows, list[Skipped], list[str]]:
    labels, clips, skipped = read_source(source, with_none=True)
    if not clips:
        raise DatasetError(_caused(skipped, f"{source}: names no recordings of a label"))
    clips, remarks = grouped(clips, labels)
    found, targets, recordings = [], [], []
    numbers: dict[str, int] = {}
    for clip in clips:
        try:
            with recording(clip.path) as path:
                samples = reading.load(
                    path, sample_rate=config.features.sample_rate, start=clip.start, duration=clip.duration
                )
        except AudioError as error:
            skipped.append(Skipped(clip.name, str(error)))
            continue
        windows = list(_windows(samples, config))
        for i in np.unique(np.linspace(0, len(windows) - 1, WINDOWS).astype(int)) if windows else ():
            found.append(features.compute(windows[i], config.features))
            targets.append([np.nan if target is None else float(target) for target in clip.targets])
            recordings.append(numbers.setdefault(clip.together, len(numbers)))
    table, of = np.array(targets, dtype=np.float32).reshape(-1, len(labels)), np.array(recordings)
    for i, label in enumerate(labels):
        if len(np.unique(of[table[:, i] == 1])) < 2:
            few = f"{source}: {label.id} has fewer than 2 recordings that can be read; 10 are a good start"
            raise DatasetError(_caused(skipped, few))
    frames = min(len(one) for one in found) // FRAMES_PER_STEP * FRAMES_PER_STEP
    return labels, few_shot.Windows(np.stack([one[:frames] for one in found]), table, of), skipped, remarks


def _caused(skipped: list[Skipped], problem: str) -> str:
    return f"{causes(skipped)}; {problem}" if skipped else problem


def _windows(samples: Array, config: ModelConfig) -> Iterator[Array]:
    """Yield what the network gets of a recording in use, each a whole window: a short one, or a rest, is repeated."""
    length = round(config.window_s * config.features.sample_rate)
    edges = [*range(0, len(samples), length), len(samples)]
    for first, last in pairwise(edges):
        if last - first >= length // 4 or first == 0 and last > 0:
            yield np.resize(samples[first:last], length)


def _card(config: ModelConfig, base: ModelConfig, counts: dict[str, int], precision: dict[str, float]) -> str:
    named = ", ".join(label.id for label in config.labels)
    learnt = "\n".join(f"| {label} | {n} | {precision[label]:.2f} |" for label, n in counts.items())
    return f"""# {config.id}

Detects {named}. Made from {base.id} by `whoplays train --from`: its network, with a new row
in the last layer for each of these labels:

| label | recordings | average precision, each recording scored by a model without it |
|---|---|---|
{learnt}

Labels that are not in the table have the scores that {base.id} gives, to the last bit.
How good it is on other recordings has to be measured on those. The licence of the recordings it was taught with is not known to
whoplays; what {base.id} was trained on is in its own card.
"""
