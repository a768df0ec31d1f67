"""Other recognisers, behind one face: a function from samples (n,) at 32 kHz to five family scores.

YAMNet runs from its published TensorFlow Lite file (pip install ai-edge-litert), mn04 in torch from its published
weights (`recipe.teacher`). A family's score is the maximum over AudioSet's classes for it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from recipe.head import joint
from recipe.teacher import Teacher, family_logits
from whoplays.training.material import Head

Scorer = Callable[[NDArray[np.float32]], NDArray[np.float32]]

RATE = 32000
#: YAMNet's classes of each family; the first is its root. No bass guitar, organ, synthesiser, timpani, tabla.
CLASSES = {
    "brass": ("Brass instrument", "French horn", "Trumpet", "Trombone"),
    "drums": ("Drum kit", "Drum machine", "Drum", "Snare drum", "Rimshot", "Drum roll", "Bass drum", "Cymbal", "Hi-hat"),
    "guitar": (
        "Guitar", "Electric guitar", "Acoustic guitar", "Steel guitar, slide guitar", "Tapping (guitar technique)", "Strum",
    ),
    "piano": ("Piano", "Electric piano"),
    "strings": ("Bowed string instrument", "String section", "Violin, fiddle", "Pizzicato", "Cello", "Double bass"),
}  # fmt: skip


def _columns(names: list[str], *, root_only: bool) -> list[list[int]]:
    kept = (classes[:1] if root_only else classes for classes in CLASSES.values())
    return [[names.index(name) for name in classes if name in names] for classes in kept]


def yamnet(folder: Path, *, root_only: bool = False) -> Scorer:
    """Return YAMNet's family scores: the greatest over windows of 0.975 s, every 0.48 s."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(folder / "yamnet.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    with (folder / "yamnet_class_map.csv").open(newline="") as table:
        columns = _columns([row["display_name"] for row in csv.DictReader(table)], root_only=root_only)

    def score(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        wave = soxr.resample(samples, RATE, 16000)
        wave = np.pad(wave, (0, max(0, 15600 - wave.size)))
        found = []
        for start in range(0, wave.size - 15600 + 1, 7680):
            interpreter.set_tensor(
                given["index"], wave[start : start + 15600].reshape(given["shape"]).astype(np.float32)
            )
            interpreter.invoke()
            found.append(interpreter.get_tensor(made["index"])[0])
        scores = np.mean(found, axis=0)
        return np.array([scores[columns_of].max() for columns_of in columns], dtype=np.float32)

    return score


def mn04(folder: Path, *, head: Path | None = None) -> Scorer:
    """Return mn04's family scores, or with `head` those of `recipe.head`; short clips are repeated to 10 s."""
    teacher = Teacher(folder)
    fitted = Head.read(head) if head else None

    def score(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        n = 10 * RATE
        pieces = [samples[i : i + n] for i in range(0, max(1, samples.size - n // 2), n)]
        embedding = np.stack([teacher.embed(np.resize(piece, n)[None])[0].mean(axis=0) for piece in pieces])
        logits = joint(fitted, embedding, teacher) if fitted else family_logits(teacher.scores(embedding))
        return (1 / (1 + np.exp(-logits.max(axis=0)))).astype(np.float32)

    return score
