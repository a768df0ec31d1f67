"""What processes inherit from the one that starts them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

#: For every worker: the same arithmetic whatever their number, and no more threads than cores.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

#: Set for workers that are to decode in a process of their own (audio/decoder.py), because one has died.
DECODE_APART = "WHOPLAYS_DECODE_APART"


@contextlib.contextmanager
def inherited(values: Mapping[str, str]) -> Iterator[None]:
    """Let processes that are started within find these values in their environment."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
