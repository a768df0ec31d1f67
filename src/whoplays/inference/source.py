"""What people give to `predict` (a path, an open file, samples) -> sound that can be predicted from, and its path."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from typing import IO, Annotated, Any

import numpy as np
from numpy.typing import NDArray

from ..audio import opening, reading
from ..errors import AudioError, UsageError

Source = Annotated[str | os.PathLike[str] | IO[bytes] | NDArray[Any], "a path, an open file or samples"]


@contextlib.contextmanager
def opened(
    source: Source, rate: int, sample_rate: int | None, part: reading.Excerpt
) -> Iterator[tuple[reading.Sound, str]]:
    """Open a source at `rate` Hz, with its path ("" without one). Raises `AudioError`, with the path, and `UsageError`.

    sample_rate: of samples, in Hz. The rest as of `Recogniser.predict`.
    """
    is_path = isinstance(source, (str, os.PathLike))
    if isinstance(source, np.ndarray) or not (is_path or hasattr(source, "read")):
        samples = _as_samples(source)
        if sample_rate is None:
            raise UsageError("samples need their sample_rate: predict(samples, sample_rate=44100)")
        if not opening.MIN_RATE <= sample_rate <= opening.MAX_RATE:
            raise UsageError(
                f"sample_rate is {sample_rate} Hz; {opening.MIN_RATE} to {opening.MAX_RATE} Hz can be used"
            )
        start, duration = part.get("start", 0.0), part.get("duration")
        yield reading.from_samples(samples, int(sample_rate), sample_rate=rate, start=start, duration=duration), ""
        return
    path = os.fspath(source) if isinstance(source, (str, os.PathLike)) else str(getattr(source, "name", "") or "")
    try:
        with reading.open_recording(source, sample_rate=rate, **part) as recording:
            yield recording, path
    except AudioError as error:
        if is_path:
            error.path = path
        raise


def check_source(source: Any) -> None:
    """Raise `UsageError` for what can be no recording, `AudioError` for an empty path."""
    if isinstance(source, (list, tuple)) and source and all(isinstance(one, (str, os.PathLike)) for one in source):
        raise UsageError(f"predict reads one recording, and {len(source)} paths were given; call it for each of them")
    if isinstance(source, str) and not source:
        raise AudioError("an empty path was given, and no recording")
    if isinstance(source, io.TextIOBase):
        raise UsageError('predict reads files that are opened in binary mode: open(path, "rb")')


def _as_samples(source: Any) -> NDArray[Any]:
    """Return samples as an array. Raises `UsageError` for what are none."""
    with contextlib.suppress(ValueError):  # lists of different lengths
        samples = np.asarray(source)
        if samples.ndim and samples.dtype.kind in "fiu":
            return samples
    raise UsageError(f"predict takes a path, an open file or samples; this {type(source).__name__} is none of them")
