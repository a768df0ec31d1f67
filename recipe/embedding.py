"""Give a model its embedding: two layers on its last ones, by which the same instrument and the same recording lie close.

python -m recipe embedding MODEL MATERIAL PEERS CLASSES [--also FOLDER]... [--at-most N]

MODEL: the model folder in floating point. What is read of it are its hidden values and what the hidden layer reads, the last
convolution: it still distinguishes recordings whose labels are the same. --also: folders of the same network in another
form (INT8) that get the same layers. Scores stay as they are. MATERIAL holds notes/ and clips/ (`python -m recipe notes`,
`music`), PEERS mn04/ and yamnet/. Features and the teachers' embeddings are kept in MATERIAL/heard.npz, so that another model
takes minutes.

What is learnt, from recorded notes, noises and music, each as it is and in variants (other levels, equalisers, noise):

- *Neighbours*: clips are as similar to each other as by the embeddings of mn04 and of YAMNet, which together find more than
  either (relational distillation: Park et al., CVPR 2019).
- *Instruments*: notes of one instrument, played by other hands, are closer than notes of others (supervised contrastive
  loss: Khosla et al., NeurIPS 2020). Notes of one hand (a library, a player) are no examples of each other. An instrument is
  a label of the tree, below families (a section of violins: violin); what has none goes by its name.
- *Recordings*: two clips of one track likewise, with less weight.

The sources kept for validation (notes.py) and a quarter of the tracks are not learnt from; recall@10 of those notes is printed
beside the teachers'. Nothing of DATA/real is used, ever.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from whoplays.features import LOGMEL
from whoplays.inference import embedding
from whoplays.model import folder as model_folder
from whoplays.storage.files import write_atomically
from whoplays.training import augment, heads
from whoplays.training.background import BACKGROUND

from .jobs import log_mel
from .labels import FAMILIES, TREE
from .layers import with_embedding, with_input
from .notes import SAMPLE_RATE, Library
from .scenes import N_SAMPLES
from .teachers import Mn04, Yamnet

Array = NDArray[np.float32]
Layers = list[tuple[Array, Array]]

WIDTH, BETWEEN = 128, 384
PER_VOICE, PER_TRACK = 24, 3  # clips of one instrument of one source; of one track
VARIANTS = 1
FRAMES = 256  # of a clip's 512: its first 5 s
STEPS_KEPT = 8  # of their 16, spread over those that hold sound
EPOCHS, BATCHES, RATE, DECAY = 18, 40, 3e-3, 1e-4
DROPOUT = (0.3, 0.3)  # of hidden values, of those between the layers
TEMPERATURE = 0.1
OF_MN04, OF_YAMNET = 1 / 3, 2 / 3  # shares of a similarity
OF_INSTRUMENTS, OF_TRACKS = 3.0, 1.0  # weights beside the distillation
LABELS, SINGLES, TRACKS, STEPS = 40, 20, 40, 3  # of a batch


@dataclass(frozen=True)
class Clips:
    """What is learnt from, an array entry for each clip.

    features: (n, 512, 64) log-mel. mn04, yamnet: (n, 384), (n, 1024) embeddings. label: the instrument, or the track. hand:
    who recorded it; of a track its clips. music, held_out: (n,) of bool.
    """

    features: NDArray[np.float16]
    mn04: Array
    yamnet: Array
    label: NDArray[np.str_]
    hand: NDArray[np.str_]
    music: NDArray[np.bool_]
    held_out: NDArray[np.bool_]

    @classmethod
    def of(cls, material: Path, mn04: Mn04, yamnet: Yamnet, *, at_most: int | None = None) -> Clips:
        """Return the clips of a folder of material, or some of them, computed once and kept there."""
        kept = material / "heard.npz"
        if not kept.is_file():
            rows = [
                (log_mel(x), *_by_teachers(mn04, yamnet, x), *about) for x, *about in islice(_clips(material), at_most)
            ]
            columns = zip(*rows, strict=True)
            names = ("features", "mn04", "yamnet", "label", "hand", "music", "held_out")
            fields: dict[str, Any] = {name: np.array(column) for name, column in zip(names, columns, strict=True)}
            write_atomically(kept, lambda file: np.savez(file, **fields), durable=False)
        with np.load(kept, allow_pickle=False) as found:
            return cls(**{name: found[name] for name in found.files})

    def chosen(self, kept: NDArray[np.bool_]) -> Clips:
        """Return some of the clips."""
        return Clips(**{name: value[kept] for name, value in vars(self).items()})

    def alike(self) -> Array:
        """Return vectors (n, width) whose scalar products are how similar the teachers find two clips."""
        pairs = ((self.mn04, OF_MN04), (self.yamnet, OF_YAMNET))
        parts = [embedding.unit(one - one.mean(axis=0)) * np.float32(np.sqrt(share)) for one, share in pairs]
        return np.concatenate(parts, axis=1)


def _clips(material: Path) -> Iterator[tuple[Any, ...]]:
    """Yield samples (327680,) at 32 kHz, label, hand, whether it is music, whether it is held out."""
    rng, library, counts = np.random.default_rng(1), Library(material / "notes"), dict[tuple[str, str], int]()
    for i in rng.permutation(len(library.clips)):
        clip = library.clips[i]
        voice = clip.instrument, clip.source
        counts[voice] = counts.get(voice, 0) + 1
        if clip.kind != "ir" and counts[voice] <= PER_VOICE:
            samples = np.resize(library.samples(clip), N_SAMPLES)
            noise = clip.kind == "noise"
            yield samples, clip.path if noise else clip.instrument, clip.source.split("-")[0], False, clip.held_out
    for i, path in enumerate(sorted((material / "clips").glob("*.npy"))):
        clips = np.load(path, mmap_mode="r", allow_pickle=False)
        for row in rng.permutation(len(clips))[:PER_TRACK]:
            yield clips[row].astype(np.float32) / 32767, path.stem, str(row), True, i % 4 == 0


def _by_teachers(mn04: Mn04, yamnet: Yamnet, samples: Array) -> tuple[Array, Array]:
    """Return mn04's embedding of 10 s, and YAMNet's of 5 s."""
    half = soxr.resample(samples[: 5 * SAMPLE_RATE], SAMPLE_RATE, yamnet.SAMPLE_RATE)
    return mn04.embed(samples[: 10 * SAMPLE_RATE]).mean(axis=0), yamnet.embed(half).mean(axis=0)


def _instrument(name: str) -> str:
    """Return the label of a note's instrument below families, or its name; cymbals keep their own."""
    found = TREE.of_sample(name)
    labels = [label for label in (found.present if found else ()) if label not in (*FAMILIES, "cymbals")]
    return labels[0] if labels else name


def hidden_values(model: model_folder.Bundle, clips: Clips, *, variants: int) -> NDArray[np.float16]:
    """Return what the layers read (1 + variants, n, STEPS_KEPT, width) of the clips as they are, and of variants of them."""
    body = heads.Body(with_input(heads.split_head(model.content(model_folder.NETWORK))[0]))
    offset, rng, found = LOGMEL.log_offset, np.random.default_rng(2), []
    for variant in range(1 + variants):
        parts = []
        for first in range(0, len(clips.features), 256):
            x = clips.features[first : first + 256, :FRAMES].astype(np.float32)
            if variant:
                nothing = np.zeros((len(x), 0), np.float32)
                drawn = augment.draw(rng, len(x), frames=x.shape[1], bands=x.shape[2], mix=0.0)
                plain = augment.Examples(x, nothing, nothing[:, None])
                x = augment.apply(plain, drawn, log_offset=offset).features
            for row, steps in zip(x, (step for rows in body.hidden(x) for step in rows), strict=True):
                sounding = np.flatnonzero(embedding.sounding(row, len(steps), offset))
                sounding = sounding if len(sounding) else np.arange(len(steps))
                kept = sounding[np.linspace(0, len(sounding) - 1, STEPS_KEPT).astype(int)]
                parts.append(steps[kept].astype(np.float16))
        found.append(np.stack(parts))
    return np.stack(found)


def applied(layers: Sequence[tuple[Array, Array]], hidden: NDArray[np.floating]) -> Array:
    """Return embeddings (n, width) of clips' hidden values (n, steps, hidden), as a recording's is made."""
    x = hidden.astype(np.float32)
    for i, (weights, bias) in enumerate(layers):
        x = (np.maximum(x, 0) if i else x) @ weights + bias
    return embedding.unit(x.mean(axis=1))


class _Fit:
    """Learns the layers by Adam with weight decay (Loshchilov and Hutter 2019)."""

    def __init__(self, hidden: NDArray[np.float16], clips: Clips, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._hidden, self._music = hidden, clips.music
        self._teacher = clips.alike()
        names = [
            str(name) if music else _instrument(str(name)) for name, music in zip(clips.label, clips.music, strict=True)
        ]
        self._label = np.unique(names, return_inverse=True)[1]
        self._hand = np.unique(clips.hand, return_inverse=True)[1]
        plain = hidden[0].astype(np.float32)
        self._mean, self._deviation = plain.mean(axis=(0, 1)), plain.std(axis=(0, 1)) + 1e-2
        sizes = (hidden.shape[-1], BETWEEN, WIDTH)
        self._weights = [
            self._rng.uniform(-1, 1, size).astype(np.float32) * np.sqrt(6 / sum(size)).astype(np.float32)
            for size in ((sizes[0], sizes[1]), (sizes[1], sizes[2]))
        ]
        self._biases = [np.zeros(size, np.float32) for size in sizes[1:]]
        groups = [np.flatnonzero(self._label == i) for i in range(self._label.max() + 1)]
        notes = [group for group in groups if not self._music[group[0]]]
        self._instruments = [group for group in notes if len(np.unique(self._hand[group])) > 1]
        self._alone = np.concatenate([group for group in notes if len(np.unique(self._hand[group])) == 1])
        self._tracks = [group for group in groups if self._music[group[0]] and len(group) > 1]

    def layers(self) -> Layers:
        """Return what was learnt, for hidden values as they are."""
        first = self._weights[0] / self._deviation[:, None]
        return [(first, self._biases[0] - self._mean @ first), (self._weights[1], self._biases[1])]

    def run(self, epochs: int) -> None:
        """Learn."""
        parameters = [*self._weights, *self._biases]
        moments = [(np.zeros_like(p), np.zeros_like(p)) for p in parameters]
        steps = epochs * BATCHES
        for n in range(1, steps + 1):
            rate = RATE * 0.5 * (1 + np.cos(np.pi * n / steps))
            loss, slopes = self._slopes(self._batch())
            for p, slope, (mean, square) in zip(parameters, slopes, moments, strict=True):
                mean += 0.1 * (slope - mean)
                square += 0.001 * (slope**2 - square)
                p -= rate * (mean / (1 - 0.9**n) / (np.sqrt(square / (1 - 0.999**n)) + 1e-7) + DECAY * p)
            if n % (10 * BATCHES) == 0:
                print(f"epoch {n // BATCHES}: loss {loss:.3f}", flush=True)

    def _batch(self) -> NDArray[np.int64]:
        """Return clips: instruments by up to three hands, others, and pairs of clips of tracks."""
        rng, found = self._rng, []
        for i in rng.permutation(len(self._instruments))[:LABELS]:
            group = self._instruments[i]
            for hand in rng.permutation(np.unique(self._hand[group]))[:3]:
                found.append(rng.choice(group[self._hand[group] == hand]))
            found.append(rng.choice(group))
        found.extend(rng.choice(self._alone, SINGLES))
        for i in rng.permutation(len(self._tracks))[:TRACKS]:
            found.extend(rng.permutation(self._tracks[i])[:2])
        return np.unique(found)

    def _slopes(self, batch: NDArray[np.int64]) -> tuple[float, list[Array]]:
        """Return the loss, and its slopes by weights and biases."""
        rng, n = self._rng, len(batch)
        variant = rng.integers(0, len(self._hidden), n)
        steps = rng.integers(0, STEPS_KEPT, (n, STEPS))
        x = self._hidden[variant[:, None], batch[:, None], steps].astype(np.float32).reshape(n * STEPS, -1)
        x = self._dropped((x - self._mean) / self._deviation, DROPOUT[0])[0]
        between = x @ self._weights[0] + self._biases[0]
        kept, mask = self._dropped(np.maximum(between, 0), DROPOUT[1])
        summed = (kept @ self._weights[1] + self._biases[1]).reshape(n, STEPS, -1).mean(axis=1)
        length = np.linalg.norm(summed, axis=1, keepdims=True) + 1e-6
        e = summed / length
        loss, by_similarity = self._losses(e @ e.T / TEMPERATURE, batch)
        by_e = (by_similarity + by_similarity.T) @ e / TEMPERATURE
        by_sum = (by_e - e * (by_e * e).sum(axis=1, keepdims=True)) / length / STEPS
        by_out = np.repeat(by_sum, STEPS, axis=0)
        by_between = (by_out @ self._weights[1].T) * mask * (between > 0)
        return loss, [x.T @ by_between, kept.T @ by_out, by_between.sum(axis=0), by_out.sum(axis=0)]

    def _dropped(self, values: Array, rate: float) -> tuple[Array, Array]:
        mask = ((self._rng.random(values.shape, dtype=np.float32) >= rate) / np.float32(1 - rate)).astype(np.float32)
        return values * mask, mask

    def _losses(self, similarity: Array, batch: NDArray[np.int64]) -> tuple[float, Array]:
        """Return the loss, and its slope by each similarity (n, n), which is divided by the temperature."""
        n, label, hand = len(batch), self._label[batch], self._hand[batch]
        itself = np.eye(n, dtype=bool)
        wanted = _shares(self._teacher[batch] @ self._teacher[batch].T / TEMPERATURE, ~itself)
        found = _shares(similarity, ~itself)
        loss = -float((wanted * np.log(found + 1e-12)).sum()) / n
        slope = (found - wanted) / n
        same = label[:, None] == label
        examples = same & (hand[:, None] != hand)
        has = examples.any(axis=1)
        weight = has * np.where(self._music[batch], OF_TRACKS, OF_INSTRUMENTS) / max(1, has.sum())
        among = _shares(similarity, examples | ~same)
        share = examples / np.maximum(examples.sum(axis=1, keepdims=True), 1)
        loss -= float((weight[:, None] * share * np.log(among + 1e-12)).sum())
        slope = slope + weight[:, None] * (among - share)
        return loss, slope.astype(np.float32)


def _shares(values: Array, counted: NDArray[np.bool_]) -> Array:
    """Return softmax (n, n) over what counts of each row; 0 elsewhere."""
    powers = np.where(counted, np.exp(values - values.max(axis=1, keepdims=True)), 0)
    return np.asarray(powers / np.maximum(powers.sum(axis=1, keepdims=True), 1e-30), dtype=np.float32)


def fit(hidden: NDArray[np.float16], clips: Clips, *, epochs: int = EPOCHS, seed: int = 0) -> Layers:
    """Return the layers learnt from clips and their `hidden_values`."""
    learner = _Fit(hidden, clips, seed)
    learner.run(epochs)
    return learner.layers()


def recall(
    vectors: NDArray[np.floating], label: NDArray[np.str_], hand: NDArray[np.str_], queries: NDArray[np.bool_]
) -> float:
    """Return recall@10: of clips of the query's label by other hands, how many are among the ten most similar (or all)."""
    unit, found = embedding.unit(vectors), []
    for i in np.flatnonzero(queries):
        others = hand != hand[i]
        wanted = others & (label == label[i])
        if wanted.sum() >= 3:
            first = np.argsort(-np.where(others, unit @ unit[i], -np.inf))[:10]
            found.append(wanted[first].sum() / min(10, wanted.sum()))
    return float(np.mean(found)) if found else float("nan")


def report(clips: Clips, vectors: Array) -> None:
    """Print recall@10 of what was not learnt from, beside the teachers'."""
    notes = ~clips.music
    for name, one in (
        ("embedding", vectors),
        ("mn04", clips.mn04),
        ("YAMNet", clips.yamnet),
        ("both teachers", clips.alike()),
    ):
        found = recall(one[notes], clips.label[notes], clips.hand[notes], clips.held_out[notes])
        print(f"{name}: recall@10 of held-out sources' notes {found:.3f}")


def install(folder: Path, layers: Layers) -> None:
    """Write the model folder anew with the embedding, and without its background; its scores stay as they are."""
    bundle = model_folder.read(folder)
    card = (folder / model_folder.CARD).read_text(encoding="utf-8")
    network = with_embedding(bundle.content(model_folder.NETWORK), layers)
    model_folder.write(folder, bundle.config, network, card)
    (folder / BACKGROUND).unlink(missing_ok=True)  # it holds the former embedding: python -m recipe background


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "material", "peers", "classes"):
        parser.add_argument(name, type=Path, metavar=name.upper())
    parser.add_argument("--also", type=Path, action="append", default=[], help="Another form of the same network.")
    parser.add_argument("--at-most", type=int, metavar="N", help="Clips to learn from, for a try.")
    parser.add_argument("--variants", type=int, default=VARIANTS, help="Of each clip, beside it as it is.")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    args = parser.parse_args()
    teachers = Mn04(args.peers / "mn04", args.classes), Yamnet(args.peers / "yamnet")
    clips = Clips.of(args.material, *teachers, at_most=args.at_most)
    hidden = hidden_values(model_folder.read(args.model), clips, variants=args.variants)
    learnt = ~clips.held_out
    layers = fit(hidden[:, learnt], clips.chosen(learnt), epochs=args.epochs)
    report(clips, applied(layers, hidden[0]))
    for folder in (args.model, *args.also):
        install(folder, layers)
        print(f"{folder}: embedding of {WIDTH} values, {(folder / model_folder.NETWORK).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
