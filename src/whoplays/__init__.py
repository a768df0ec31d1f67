"""Detects which instruments play in a recording, and when.

    import whoplays
    recogniser = whoplays.load()
    prediction = recogniser.predict("duet.flac")
    prediction.scores["guitar"], prediction.playing, prediction.segments

Importing the package loads no training framework, no plotting and no audio decoder: those come with the call that needs them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .errors import WhoplaysError

if TYPE_CHECKING:
    from pathlib import Path

    from .inference import hf as hf
    from .inference.recogniser import Prediction, Recogniser, Segment
    from .model.thresholds import Threshold

# Nothing leaves the machine: ONNX Runtime (from 1.29 on) and Ray would tell their makers of models and machines, and keep
# an identifier on the disk. They look at this when they are loaded; who sets it otherwise is heeded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

__version__ = "0.2.0"
__all__ = ["Prediction", "Recogniser", "Segment", "WhoplaysError", "__version__", "load"]


def load(model: str | Path | None = None, *, device: str = "cpu", threshold: Threshold | None = None) -> Recogniser:
    """Return a recogniser, ready to predict.

    Parameters
    ----------
    model : str or path, optional
        The model folder; None: the model inside the package.
    device : str
        Inference device: "cpu", "auto", "cuda", "coreml", ...; `Recogniser.notice` says when it cannot be used.
    threshold : float or mapping of str to float, optional
        In place of the model's own: a number from 0 to 1 for all labels, or {label: number}.

    Returns
    -------
    Recogniser

    Raises
    ------
    ModelError
        When the folder cannot be used.
    UsageError
        For an unknown device or a threshold outside 0 to 1.

    Examples
    --------
    >>> import numpy as np, whoplays
    >>> recogniser = whoplays.load()
    >>> tone = 0.1 * np.sin(np.arange(44100) * 0.06)
    >>> list(recogniser.predict(tone, sample_rate=44100).scores)[:5]
    ['brass', 'drums', 'guitar', 'piano', 'strings']
    """
    from .inference.recogniser import Recogniser

    return Recogniser(model, device=device, threshold=threshold)


def __getattr__(name: str) -> object:
    if name in {"Prediction", "Recogniser", "Segment"}:
        from .inference import recogniser

        return getattr(recogniser, name)
    if name == "hf":
        from .inference import hf

        return hf
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
