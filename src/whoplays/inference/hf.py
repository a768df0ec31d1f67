"""A callable of the shape of Hugging Face's audio-classification pipeline, without that package: `whoplays.hf.pipeline`."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import UsageError
from .recogniser import Recogniser

TASK = "audio-classification"
TOP_K = 5

Classes = list[dict[str, Any]]


class AudioClassification:
    """What `pipeline` returns: a recording -> its labels with scores, the likeliest first; a list -> a list of those.

    Scores are independent probabilities: they do not sum to 1, and several labels can play at once.
    """

    task = TASK

    def __init__(self, recogniser: Recogniser, top_k: int | None = TOP_K) -> None:
        """top_k: how many labels to return; None for all."""
        self.recogniser, self.top_k = recogniser, _checked(top_k)

    def __repr__(self) -> str:
        return f"<{TASK} by {self.recogniser.config.id}, top_k={self.top_k}>"

    def __call__(self, inputs: Any, top_k: int | None = -1) -> Any:
        """Classify one recording, or several.

        Parameters
        ----------
        inputs
            A path, the bytes of a file, or a mapping with `array` or `raw`, samples (n,) or (n, channels) from -1 to 1, and
            `sampling_rate` in Hz, as rows of the library `datasets` are; or a list or another iterable of those.
        top_k : int or None
            How many labels to return; None for all. Left out: as the pipeline was made.

        Returns
        -------
        list of dict, or list of those lists
            `{"label": id, "score": probability}`, by falling score.

        Raises
        ------
        AudioError
            For a recording that cannot be used, with its path in `path`.
        UsageError
            For samples without a rate, or a `top_k` below 1.
        """
        count = self.top_k if top_k == -1 else _checked(top_k)
        if isinstance(inputs, (str, os.PathLike, bytes, bytearray, Mapping)):
            return self._one(inputs, count)
        if isinstance(inputs, np.ndarray):
            raise UsageError('samples need their rate: pass {"array": samples, "sampling_rate": 44100}')
        return [self._one(one, count) for one in inputs]

    def _one(self, one: Any, count: int | None) -> Classes:
        if isinstance(one, Mapping):
            samples, rate = one.get("array", one.get("raw")), one.get("sampling_rate")
            if samples is None or not rate:
                raise UsageError(
                    f"a mapping needs array (or raw) and sampling_rate, and has {', '.join(map(str, one))}"
                )
            prediction = self.recogniser.predict(np.asarray(samples), sample_rate=int(rate))
        elif isinstance(one, (bytes, bytearray)):
            prediction = self.recogniser.predict(io.BytesIO(one))
        else:
            prediction = self.recogniser.predict(one)
        ranked = sorted(prediction.scores.items(), key=lambda item: -item[1])
        return [{"label": label, "score": score} for label, score in ranked[:count]]


def pipeline(
    task: str = TASK,
    model: str | os.PathLike[str] | None = None,
    *,
    device: str = "cpu",
    top_k: int | None = TOP_K,
) -> AudioClassification:
    """Return a callable like `transformers.pipeline("audio-classification")`.

    Parameters
    ----------
    task : str
        "audio-classification", the only one there is.
    model : path, optional
        A model folder; None or "default" for the model inside the package.
    device : str
        As of `whoplays.load`.
    top_k : int or None
        How many labels a recording gets; None for all.

    Returns
    -------
    AudioClassification
        Call it with a recording, or a list of them.

    Raises
    ------
    UsageError
        For another task or an unknown device.
    ModelError
        For a folder that cannot be used.

    Examples
    --------
    >>> import whoplays
    >>> classify = whoplays.hf.pipeline("audio-classification", top_k=2)
    >>> [found["label"] for found in classify("src/whoplays/examples/violin-and-piano.ogg")]
    ['strings', 'piano']
    """
    if task != TASK:
        raise UsageError(f"task {task}: must be {TASK}")
    return AudioClassification(Recogniser(None if model == "default" else model, device=device), top_k)


def _checked(top_k: int | None) -> int | None:
    if top_k is not None and top_k < 1:
        raise UsageError(f"top_k is {top_k}; it must be 1 or more, or None for all labels")
    return top_k
