"""whoplays hears which instrument families play in a recording, and when.

    import whoplays
    recogniser = whoplays.load()
    prediction = recogniser.predict("duet.flac")
    prediction.scores["guitar"], prediction.playing, prediction.segments

Importing the package loads no training framework, no plotting and no audio decoder: those come with the call that needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import WhoplaysError

if TYPE_CHECKING:
    from pathlib import Path

    from .predict import Prediction, Recogniser, Segment

__version__ = "0.1.0"
__all__ = ["Prediction", "Recogniser", "Segment", "WhoplaysError", "__version__", "load"]


def load(model: str | Path | None = None, *, device: str = "cpu") -> Recogniser:
    """Return a `Recogniser` for the model folder `model`, or for the model inside the package when it is None.

    device: what the network runs on ("cpu", "auto", "cuda", "coreml", ...); `Recogniser.notice` tells where it cannot.
    Raises `ModelError` when the folder cannot be used, `UsageError` for an unknown device.
    """
    from .predict import Recogniser

    return Recogniser(model, device=device)


def __getattr__(name: str):
    if name in {"Prediction", "Recogniser", "Segment"}:
        from . import predict

        return getattr(predict, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
