"""Retrieval by embedding on real recordings: how many of the ten nearest play the same instrument, beside mn04 and YAMNet.

python -m bench embedding DATA PEERS CLASSES [--half development] [--model FOLDER] [--keep]

For each clip of one half of real/ the other recordings are ranked by cosine similarity. recall@10: of those with the same
instrument, how many are among the first ten (of ten, or of as many as there are). Clips whose instrument fewer than three
other recordings have are no queries. Of clips of 8 s or more, both halves are embedded
apart as well, and the second half is looked for among all second halves by the first.
PEERS holds mn04/ and yamnet/, CLASSES is AudioSet's class_labels_indices.csv.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from bench import measure
from bench.quality.real import HALVES, RATE, real_recordings
from recipe.teachers.base import filled
from recipe.teachers.mn04 import Mn04
from recipe.teachers.yamnet import Yamnet
from whoplays import load
from whoplays.inference.embedding import unit

NEAREST, LONG_S = 10, 8
PIECE = 10 * RATE
Array = NDArray[np.float32]


def recall(vectors: NDArray[np.floating], instruments: list[str], sources: list[str]) -> tuple[float, int]:
    """Return recall@10 of the same instrument in other recordings, and the number of queries."""
    near, label, source = unit(vectors) @ unit(vectors).T, np.array(instruments), np.array(sources)
    found = []
    for i in range(len(label)):
        others = source != source[i]
        wanted = others & (label == label[i])
        if wanted.sum() >= 3:
            first = np.argsort(-np.where(others, near[i], -np.inf))[:NEAREST]
            found.append(wanted[first].sum() / min(NEAREST, wanted.sum()))
    return float(np.mean(found)), len(found)


def same_recording(firsts: NDArray[np.floating], seconds: NDArray[np.floating]) -> float:
    """Return how often the second half most similar to a clip's first half is its own."""
    near = unit(firsts) @ unit(seconds).T
    return float((near.argmax(axis=1) == np.arange(len(near))).mean())


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("peers", type=Path)
    parser.add_argument("classes", type=Path)
    parser.add_argument("--half", choices=HALVES, default="development")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    clips = real_recordings(args.data, args.half)
    recogniser, mn04 = load(args.model), Mn04(args.peers / "mn04", args.classes)
    yamnet = Yamnet(args.peers / "yamnet")

    def by_mn04(samples: Array) -> Array:
        """The mean over pieces of 10 s, each repeated to that length."""
        starts = range(0, max(1, len(samples) - PIECE // 4), PIECE)
        pieces = [mn04.embed(filled(samples[s : s + PIECE], PIECE)).mean(axis=0) for s in starts]
        return np.asarray(np.mean(pieces, axis=0))

    def by_yamnet(samples: Array) -> Array:
        return np.asarray(yamnet.embed(soxr.resample(samples, RATE, yamnet.SAMPLE_RATE)).mean(axis=0))

    makers: dict[str, Callable[[Array], Array]] = {
        f"{recogniser.config.id}, embed()": lambda samples: recogniser.embed(samples, sample_rate=RATE),
        "mn04": by_mn04,
        "YAMNet": by_yamnet,
    }
    long = [clip.samples for clip in clips if len(clip.samples) >= LONG_S * RATE]
    rows = []
    for name, made in makers.items():
        vectors = np.stack([made(clip.samples) for clip in clips])
        found, queries = recall(vectors, [c.instrument for c in clips], [c.sources[0] for c in clips])
        firsts = np.stack([made(samples[: len(samples) // 2]) for samples in long])
        seconds = np.stack([made(samples[len(samples) // 2 :]) for samples in long])
        rows.append(
            {
                "embedding": name,
                "width": vectors.shape[1],
                "recall@10, same instrument": round(found, 3),
                "queries": queries,
                "recall@1, same recording": round(same_recording(firsts, seconds), 3),
                "recordings": len(long),
            }
        )
        print(rows[-1], flush=True)
    if args.keep:
        seen = (
            " The test half was scored for four earlier embeddings too (.513, .569, .590, .610; mn04 .592)."
            if args.half == "test"
            else ""
        )
        measure.keep(
            f"embedding-{args.half}",
            f"Retrieval by embedding, {args.half} half of the real recordings",
            rows,
            peer="EfficientAT mn04_as, YAMNet",
            packages=("onnxruntime",),
            remarks=f"Neither half was learnt from; choices were made by the development half.{seen}",
        )


if __name__ == "__main__":
    main()
