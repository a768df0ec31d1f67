"""Detects which instruments play in a recording, and when.

    import whoplays
    recogniser = whoplays.load()
    prediction = recogniser.predict("duet.flac")
    prediction.scores["guitar"], prediction.playing, prediction.segments
    table = whoplays.to_dataframe(whoplays.predict_many(["folder"]))

Importing the package loads no training framework, no plotting and no audio decoder: those come with the call that needs them.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from .errors import AudioError, DatasetError, MissingExtraError, ModelError, UsageError, WhoplaysError

if TYPE_CHECKING:
    from pathlib import Path

    from .inference import hf as hf
    from .inference import sklearn as sklearn
    from .inference.batch import predict_many
    from .inference.prediction import Failure, Prediction, Segment
    from .inference.recogniser import Recogniser
    from .model.thresholds import Threshold
    from .results.dataframe import to_dataframe

# Nothing leaves the machine: ONNX Runtime (from 1.29 on) and Ray would tell their makers of models and machines, and keep
# an identifier on the disk. They look at this when they are loaded; who sets it otherwise is heeded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

__version__ = "0.2.0"
__all__ = [
    "AudioError",
    "DatasetError",
    "Failure",
    "MissingExtraError",
    "ModelError",
    "Prediction",
    "Recogniser",
    "Segment",
    "UsageError",
    "WhoplaysError",
    "__version__",
    "hf",
    "load",
    "predict_many",
    "sklearn",
    "to_dataframe",
]

#: name -> the module that has it, or is it; loaded on first use
_LATER = {
    "Failure": "inference.prediction",
    "Prediction": "inference.prediction",
    "Recogniser": "inference.recogniser",
    "Segment": "inference.prediction",
    "hf": "inference.hf",
    "predict_many": "inference.batch",
    "sklearn": "inference.sklearn",
    "to_dataframe": "results.dataframe",
}


def load(model: str | Path | None = None, *, device: str = "cpu", threshold: Threshold | None = None) -> Recogniser:
    """Return a recogniser, ready to predict.

    Parameters
    ----------
    model : str or path, optional
        The model folder; None or "default": the model inside the package.
    device : str
        Inference device: "cpu", "auto", "cuda", "coreml", ...; `Recogniser.notice` says when it cannot be used.
    threshold : float or mapping of str to float, optional
        In place of the model's own: a number from 0 to 1 for all labels, or {label: number}.

    Returns
    -------
    Recogniser
        Safe to use from several threads; it can be pickled for processes of your own, which open the same folder.

    Raises
    ------
    ModelError
        When the folder cannot be used, with the folder in `path`.
    UsageError
        For an unknown device or label.

    Examples
    --------
    >>> import whoplays
    >>> whoplays.load("default").predict("src/whoplays/examples/band.ogg").playing[:3]
    ['drums', 'guitar', 'bass']
    """
    from .inference.recogniser import Recogniser

    return Recogniser(None if model == "default" else model, device=device, threshold=threshold)


def __dir__() -> list[str]:
    return sorted({name for name in globals() if name.startswith("__")} | {"errors", *__all__})


class _Elsewhere(ModuleType):
    """Stands for a module of a room under a name of the package: `from whoplays.sklearn import Embedder`."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(__getattr__(self.__name__.rpartition(".")[2]), name)


for _name in ("hf", "sklearn"):
    sys.modules.setdefault(f"{__name__}.{_name}", _Elsewhere(f"{__name__}.{_name}"))


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = import_module(f".{_LATER[name]}", __name__)
    return found if _LATER[name].endswith(f".{name}") else getattr(found, name)
