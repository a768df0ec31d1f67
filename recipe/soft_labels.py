"""Label music softly: what teachers and a model trained before say together, as probabilities over time.

The clips of `music` go through all teachers (`teachers`) and a model folder, default@3 when default@4 was made. What each
says is kept (MATERIAL/teachers); `fit` calibrates their weighted mean on recordings and scenes whose labels are known
(MATERIAL/known.npz); `label` writes shards to train on (MATERIAL/music). Where teachers are known to be wrong, or
unsure of a rare label, the target is unknown, so that training takes nothing from it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whoplays.errors import ModelError, RenderError
from whoplays.model import folder as model_folder
from whoplays.storage.files import write_atomically

from . import material as store
from .jobs import log_mel
from .labels import FAMILIES, LABELS, TREE, Sounding
from .material import Rows
from .music import GUITAR_STEM, Track, used_tracks
from .notes import SAMPLE_RATE
from .scenes import N_SAMPLES, STEPS, Studio
from .teachers import Ensemble, Mn04, Panel
from .teachers.base import sigmoid

Array = NDArray[np.float32]
Logits = dict[str, Array]

#: What the teachers said of recordings whose labels are known.
KNOWN = "known.npz"
MODEL = "model"  # the name of the model folder among the teachers
#: Kinds of tracks in which people play.
PEOPLE = ("known", "recorded")
#: How much a teacher counts for a label, where that is not 1. The tags of MTT and of Jamendo say nothing of brass.
_FAMILIES = TREE.defaults
WEIGHTS = {
    **{("mtt_musicnn", family): 0.3 for family in _FAMILIES},
    ("mtt_musicnn", "brass"): 0.0,
    ("jamendo_musicnn", "brass"): 0.0,
}
#: Labels too rare for the calibration: mn04 alone decides, its logit raised by `RARE_BIAS`, and between these scores the
#: target is unknown.
RARE = (
    *("synthesizer", "accordion", "mallets", "plucked", "percussion", "electric-piano", "harp", "banjo", "mandolin"),
    *("ukulele", "double-bass", "clarinet", "cymbals", "acoustic-guitar", "electric-guitar", "trombone", "french-horn"),
)
RARE_BIAS, UNSURE = 1.5, (0.12, 0.5)
#: Sequenced brass sounds so unlike brass that teachers name it for synthesisers: above this score it is unknown.
SEQUENCED_BRASS, MASKED_ABOVE = ("brass", "trumpet", "trombone", "french-horn", "tuba"), 0.1
#: Most clips of a track; how often one of its rows is drawn. People who play are what users bring.
CLIPS = {"known": 6, "recorded": 80, "mixed": 12, "sequenced": 12, "game": 4}
DRAWN = {"known": 6.0, "recorded": 4.0, "mixed": 1.0, "sequenced": 1.0, "game": 1.0}
GUITAR_DRAWN = 1.5
#: Who is alone plays where the level is above this share of its mean, and rests below the other.
PLAYS, RESTS = 0.05, 0.005
#: Who is said to play beside others does so where teachers are that sure; elsewhere it is unknown.
LIKELY, SURE = 0.4, 0.95
#: Steps of 0.32 s that scores over time are averaged over; mn04 looks at nine by itself.
SPAN = 5
#: What sequenced music is labelled with, to save time.
FEWER = ("mn04", "yamnet", "jamendo_musicnn")
#: Scale and bias of a label that nothing is known of to calibrate it by.
UNCALIBRATED = 2.0, -2.0
#: Recordings and scenes to calibrate on.
MIXES, SCENES = 120, 300


class WeightedEnsemble(Ensemble):
    """Teachers of different weights: the mean, not the sum, so that a clip that fewer of them labelled keeps its level."""

    def sum(self, logits: Mapping[str, Array]) -> Array:
        """Return the weighted mean (..., labels) of standardised logits; NaN where no teacher knows the label."""
        summed: NDArray[np.float64] | float = 0.0
        total: NDArray[np.float64] | float = 0.0
        for row, name in enumerate(self.teachers):
            if name in logits:
                weights = np.array([WEIGHTS.get((name, label), 1.0) for label in self.labels])
                standard = (np.asarray(logits[name], dtype=np.float64) - self.mean[row]) / self.deviation[row]
                known = np.where(np.isnan(standard), 0.0, weights)
                summed = summed + np.where(known > 0, standard * known, 0.0)
                total = total + known
        if isinstance(total, float):
            raise ValueError(f"logits are of {sorted(logits)}; the ensemble was fitted on {list(self.teachers)}")
        return np.where(total > 0, summed / np.maximum(total, 1e-9), np.nan).astype(np.float32)


class Labeller:
    """Teachers and a model folder, run on clips of 10.24 s.

    Parameters
    ----------
    peers : Path
        Holds the teachers' folders.
    class_list : Path
        AudioSet's class_labels_indices.csv.
    model : Path or None
        A model folder of the recipe `default`.
    """

    def __init__(self, peers: Path, class_list: Path, model: Path | None) -> None:
        """Read them. Raises `ModelError` for a model without scores over time."""
        self._full = Panel.load(peers, class_list, hop_s=2.0)
        self._fewer = Panel.load(peers, class_list, names=FEWER, hop_s=3.0)
        self._model = model_folder.Network(model_folder.read(model)) if model else None
        if self._model is not None and not self._model.over_time:
            raise ModelError(f"{model}: gives no scores over time; name a model of the recipe default")

    def over_time(self, clip: Array, features: NDArray[np.float16], *, fewer: bool = False) -> Logits:
        """Return what each says of a clip (327680,) and its features (512, 64): logits (32, labels) by name."""
        panel = self._fewer if fewer else self._full
        found = panel.over_time(panel.label_clip(clip), STEPS)
        if self._model is not None:
            found[MODEL] = self._placed(self._model.run(features[None].astype(np.float32))["frame_logits"][0, :STEPS])
        return found

    def whole(self, samples: Array) -> Logits:
        """Return what each says of a recording (n,), as a whole: logits (labels,), the mean over its clips."""
        starts = range(0, max(1, samples.size - SAMPLE_RATE), N_SAMPLES)
        found: list[Logits] = []
        for start in starts:
            clip = np.resize(samples[start : start + N_SAMPLES], N_SAMPLES)
            logits = self._full.whole(self._full.label_clip(clip))
            if self._model is not None:
                frames = self._model.run(log_mel(clip)[None].astype(np.float32))["frame_logits"]
                logits[MODEL] = self._placed(frames.mean(axis=1)[0])
            found.append(logits)
        return {name: np.mean([one[name] for one in found], axis=0) for name in found[0]}

    def _placed(self, logits: Array) -> Array:
        assert self._model is not None
        ids = [label.id for label in self._model.config.labels]
        placed = np.full((*logits.shape[:-1], len(LABELS)), np.nan, dtype=np.float32)
        for column, label in enumerate(ids):
            if label in LABELS:
                placed[..., LABELS.index(label)] = logits[..., column]
        return placed


def listen(material: Path, labeller: Labeller) -> None:
    """Run the teachers on the clips of each track; those of tracks that are done are left as they are."""
    tracks = sorted(used_tracks(material), key=lambda track: list(DRAWN).index(track.kind))
    for track in tracks:
        path = material / "teachers" / f"{track.name}.npz"
        clips = np.load(material / "clips" / f"{track.name}.npy", mmap_mode="r")
        if path.exists() or not len(clips):
            continue
        chosen = np.unique(np.linspace(0, len(clips) - 1, min(CLIPS[track.kind], len(clips))).astype(int))
        features, found = [], []
        for i in chosen:
            clip = clips[i].astype(np.float32) / 32767
            features.append(log_mel(clip))
            found.append(labeller.over_time(clip, features[-1], fewer=track.kind not in PEOPLE))
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {"features": np.stack(features)}
        for name in found[0]:
            arrays[f"logits/{name}"] = np.stack([one[name] for one in found]).astype(np.float16)
        _save(path, arrays)
        print(f"{track.name}: {len(chosen)} clips", flush=True)


def _save(path: Path, arrays: Mapping[str, Any]) -> None:
    write_atomically(path, lambda file: np.savez(file, **arrays), durable=False)


def listen_to_known(material: Path, examples: Iterable[tuple[Array, Array]], labeller: Labeller) -> None:
    """Run the teachers on recordings whose labels are known, and keep what they say for `fit`; once is enough.

    Parameters
    ----------
    material : Path
    examples : iterable of (samples, targets)
        Mono samples (n,) at 32 kHz; targets (labels,) 1, 0, NaN unknown. See `known_examples`.
    labeller : Labeller
    """
    if (material / KNOWN).exists():
        return
    found, targets = [], []
    for samples, target in examples:
        found.append(labeller.whole(samples))
        targets.append(target)
    arrays = {f"logits/{name}": np.stack([one[name] for one in found]) for name in found[0]}
    _save(material / KNOWN, {"targets": np.stack(targets), **arrays})


def fit(material: Path, teachers: Collection[str] | None = None) -> WeightedEnsemble:
    """Calibrate the teachers together on what they said of recordings whose labels are known.

    Parameters
    ----------
    material : Path
    teachers : collection of str, optional
        The names of those to use; all without it.

    Returns
    -------
    WeightedEnsemble
        A label that no example is for or against gets `UNCALIBRATED`.

    Raises
    ------
    RenderError
        When `listen_to_known` has not run, or a teacher is missing.
    """
    if not (material / KNOWN).exists():
        raise RenderError(
            f"{material / KNOWN} is missing; label music first: python -m recipe label DATA {material} PEERS"
        )
    targets, logits = _read(material / KNOWN, "targets")
    if missing := sorted(set(teachers or ()) - set(logits)):
        raise RenderError(
            f"{material / KNOWN}: has nothing of {', '.join(missing)}; remove it and label with all teachers"
        )
    chosen = {name: values for name, values in logits.items() if teachers is None or name in teachers}
    ensemble = WeightedEnsemble.fit(LABELS, chosen, targets)
    for values, otherwise in zip((ensemble.scale, ensemble.bias), UNCALIBRATED, strict=True):
        values[np.isnan(values)] = otherwise
    return ensemble


def _read(path: Path, first: str) -> tuple[NDArray[Any], Logits]:
    """Return an array of a file, and the logits in it by the teachers' names."""
    with np.load(path, allow_pickle=False) as archive:
        names = [name for name in archive.files if name.startswith("logits/")]
        return archive[first], {name.removeprefix("logits/"): archive[name].astype(np.float32) for name in names}


def known_examples(
    data: Path, studio: Studio, *, scenes: int = SCENES, recordings: int | None = None
) -> Iterator[tuple[Array, Array]]:
    """Yield recordings whose labels are known, and their targets, as `listen_to_known` takes them.

    Parameters
    ----------
    data : Path
        Of its real/ only the development half is used: clips, mixes of them, and sounds of no family.
    studio : Studio
        Of held-out sources.
    scenes : int
        Number of scenes, the only ones with labels beside the five families.
    recordings : int, optional
        Maximum number of recordings of real/, evenly chosen.
    """
    from bench.quality import real

    clips = real.real_recordings(data, "development")
    known = [*clips, *real.mixes(clips, count=MIXES, seed=7), *real.noises(data, "development")]
    for recording in known[:: max(1, len(known) // recordings) if recordings else 1]:
        targets = np.full(len(LABELS), np.nan, dtype=np.float32)
        targets[[LABELS.index(family) for family in real.FAMILY_IDS]] = recording.targets
        yield recording.samples, targets
    for seed in range(scenes):
        scene = studio.draw(seed)
        yield scene.samples, store.clip_targets(scene.targets[None])[0]


def soft_targets(logits: Mapping[str, Array], ensemble: WeightedEnsemble, *, sequenced: bool) -> Array:
    """Return targets over time from what teachers said.

    Parameters
    ----------
    logits : mapping of str to ndarray, shape (clips, steps, labels)
        By the teachers' names.
    ensemble : WeightedEnsemble
    sequenced : bool
        Whether the music may be made of samples: then brass is unknown unless it is unlikely.

    Returns
    -------
    ndarray, shape (clips, steps, labels)
        Probabilities, NaN where unknown. A family has no less than one of its instruments.
    """
    smooth = {
        name: logits[name] if name == Mn04.NAME else average(logits[name], SPAN)
        for name in ensemble.teachers
        if name in logits
    }
    targets = sigmoid(np.clip(ensemble.logits(smooth), -12, 12))
    for label in RARE:
        i = LABELS.index(label)
        score = sigmoid(logits[Mn04.NAME][..., i].astype(np.float32) + RARE_BIAS)
        targets[..., i] = np.where((score > UNSURE[0]) & (score < UNSURE[1]), np.nan, score)
    for family in FAMILIES:
        for instrument in TREE.instruments(family):
            i = LABELS.index(family)
            targets[..., i] = np.fmax(targets[..., i], targets[..., LABELS.index(instrument.id)])
    if sequenced:
        for label in SEQUENCED_BRASS:
            i = LABELS.index(label)
            targets[..., i] = np.where(targets[..., i] > MASKED_ABOVE, np.nan, targets[..., i])
    return targets


def average(values: Array, span: int) -> Array:
    """Return, for each step of values (n, steps, width), the mean over the `span` steps round it; ends are held."""
    half = span // 2
    padded = np.pad(values.astype(np.float32), ((0, 0), (half + 1, half), (0, 0)), mode="edge")
    summed = np.cumsum(padded, axis=1)
    return ((summed[:, span:] - summed[:, :-span]) / span).astype(np.float32)


def labelled_tracks(material: Path) -> list[Track]:
    """Return the tracks that teachers have labelled."""
    return [track for track in used_tracks(material) if (material / "teachers" / f"{track.name}.npz").exists()]


def labelled(material: Path, track: Track, ensemble: WeightedEnsemble) -> Rows:
    """Return a track's rows of material, with soft targets from the ensemble's teachers, and who is known to play."""
    features, logits = _read(material / "teachers" / f"{track.name}.npz", "features")
    chosen = {name: values for name, values in logits.items() if name in (*ensemble.teachers, Mn04.NAME)}
    targets = soft_targets(chosen, ensemble, sequenced=track.kind not in PEOPLE)
    if track.present:
        clips = np.load(material / "clips" / f"{track.name}.npy")[: len(targets)].astype(np.float32) / 32767
        targets = known_targets(track, clips, targets)
    return _rows(features, targets, DRAWN[track.kind], f"{track.source} {track.path}")


def label(material: Path, ensemble: WeightedEnsemble) -> int:
    """Write a shard into `material`/music for every track that teachers have labelled; return the number of rows."""
    count = 0
    for track in labelled_tracks(material):
        rows = labelled(material, track, ensemble)
        store.write_shard(material / "music", track.name, rows)
        count += len(rows)
    return count


def label_guitars(material: Path) -> int:
    """Write shards of electric guitars alone, Frets on Fire's, into `material`/music; return the number of rows.

    Raises
    ------
    RenderError
        When the packages are not there.
    """
    from whoplays.audio.reading import load

    rows, stems = 0, sorted((material / "packages").rglob(GUITAR_STEM))
    if not stems:
        raise RenderError(f"{material}/packages holds no {GUITAR_STEM}; fetch the packages first")
    for number, path in enumerate(stems):
        wave = load(path, sample_rate=SAMPLE_RATE)
        clips = wave[: wave.size // N_SAMPLES * N_SAMPLES].reshape(-1, N_SAMPLES)
        clips = clips[np.abs(clips).max(axis=1) > 0.003]
        targets = guitar_targets(clips)
        features = np.stack([log_mel(clip) for clip in clips])
        rows_of = _rows(features, targets, GUITAR_DRAWN, f"guitar {path.parent.name}")
        store.write_shard(material / "music", f"guitar-{number:02d}", rows_of)
        rows += len(clips)
    return rows


def known_targets(track: Track, clips: Array, soft: Array) -> Array:
    """Return targets (n, steps, labels) of a track whose players are known.

    Parameters
    ----------
    track : Track
    clips : ndarray, shape (n, 327680)
    soft : ndarray, shape (n, steps, labels)
        What teachers say; it holds for those of whom nothing is known.
    """
    said = Sounding(tuple(track.present.split(";"))).targets
    if track.alone:
        return np.where(said == 1, playing(clips)[..., None], said).astype(np.float32)
    likely = np.where(soft > LIKELY, np.maximum(soft, SURE), np.nan)
    return np.where(said == 1, likely, soft).astype(np.float32)


def guitar_targets(clips: Array) -> Array:
    """Return targets (n, steps, labels) of an electric guitar alone (n, 327680)."""
    targets = np.zeros((len(clips), STEPS, len(LABELS)), dtype=np.float32)
    targets[..., [LABELS.index("guitar"), LABELS.index("electric-guitar")]] = playing(clips)[..., None]
    return targets


def playing(clips: Array) -> Array:
    """Return (n, steps) whether who is alone in clips (n, 327680) plays: 1 or 0 by the level, NaN where it fades."""
    level = np.sqrt(np.square(clips.reshape(len(clips), STEPS, -1)).mean(axis=2))
    reference = np.sqrt(np.square(level).mean())
    return np.where(level > PLAYS * reference, 1.0, np.where(level < RESTS * reference, 0.0, np.nan)).astype(np.float32)


def _rows(features: NDArray[np.float16], targets: Array, drawn: float, about: str) -> Rows:
    n = len(features)
    return Rows(features, targets.astype(np.float16), np.full(n, drawn, np.float32), np.array([about] * n), LABELS)
