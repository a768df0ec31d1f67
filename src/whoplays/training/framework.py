"""The one import of Keras: for training only, quiet, with a clear error when it is not installed."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from ..errors import UsageError
from ..runtime.packages import needed


def load_keras() -> Any:
    """Return the `keras` module on TensorFlow. Raises `MissingExtraError`, and `UsageError` where KERAS_BACKEND is another.

    What TensorFlow's C++ side prints while it is being loaded is kept from people's screens; WHOPLAYS_DEBUG shows it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    check_backend(os.environ.setdefault("KERAS_BACKEND", "tensorflow"))
    with needed("Training", "train"), _quiet_while_loading():
        import keras
    check_backend(keras.backend.backend())  # a program may have loaded it before
    return keras


def check_backend(name: str) -> None:
    """Raise `UsageError` unless Keras is on TensorFlow, which alone trains fast at small batches and writes ONNX."""
    if name != "tensorflow":
        raise UsageError(f"KERAS_BACKEND={name}: whoplays trains with tensorflow only")


@contextlib.contextmanager
def _quiet_while_loading() -> Iterator[None]:
    """Hold back file descriptor 2: C++ writes there before any logging can be set. What an error said is passed on."""
    if "keras" in sys.modules or os.environ.get("WHOPLAYS_DEBUG"):
        yield
        return
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no standard error at all
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
