"""Teachers: published networks that label recordings, so that a model of ours can learn from them or be compared.

In come mono samples, out go logits over time and for the whole: `Panel` runs all of them and brings them to the labels of
the tree and to one grid of time, `Ensemble` makes them one. Everything runs in ONNX Runtime on one thread, without torch or
TensorFlow. The networks' weights are not here: the caller names the folder that holds them.
"""

from .base import Analysis, Scores, Teacher
from .ensemble import Ensemble
from .labels import LABELS, MAPS
from .mn04 import Mn04
from .musicnn import JamendoMusicnn, MttMusicnn
from .panel import Panel
from .yamnet import Yamnet

__all__ = [
    "LABELS",
    "MAPS",
    "Analysis",
    "Ensemble",
    "JamendoMusicnn",
    "Mn04",
    "MttMusicnn",
    "Panel",
    "Scores",
    "Teacher",
    "Yamnet",
]
