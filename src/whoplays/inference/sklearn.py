"""A transformer of scikit-learn: recordings -> their embeddings, for models of your own: `whoplays.sklearn.Embedder`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..runtime.packages import needed
from ..runtime.threads import in_order
from .recogniser import Recogniser

with needed("whoplays.sklearn", "sklearn"):
    from sklearn.base import BaseEstimator, TransformerMixin


class Embedder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turns recordings into embeddings, so that a classifier of scikit-learn can learn from a few of them.

    It learns nothing itself: `fit` only opens the model.

    Parameters
    ----------
    model : str, path or Recogniser, optional
        None or "default": the model inside the package.
    jobs : int
        Recordings in parallel; 0 for one per core.
    device : str
        As of `whoplays.load`.

    Attributes
    ----------
    recogniser_ : Recogniser
        The model, once fitted.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> import whoplays
    >>> examples = "src/whoplays/examples"
    >>> few = [f"{examples}/band.ogg", f"{examples}/brass-quartet.ogg"]
    >>> ensemble = make_pipeline(whoplays.sklearn.Embedder(), KNeighborsClassifier(1))
    >>> ensemble = ensemble.fit(few, ["band", "brass"])
    >>> ensemble.predict([f"{examples}/brass-quartet.ogg"]).tolist()
    ['brass']
    """

    def __init__(
        self, model: str | os.PathLike[str] | Recogniser | None = None, *, jobs: int = 0, device: str = "cpu"
    ) -> None:
        """Keep the parameters, as scikit-learn asks."""
        self.model, self.jobs, self.device = model, jobs, device

    def fit(self, recordings: Iterable[Any], y: Any = None) -> Self:
        """Open the model.

        Parameters
        ----------
        recordings, y
            Not used.

        Returns
        -------
        Embedder

        Raises
        ------
        ModelError
            For a model that cannot be used, or has no embedding.
        """
        if isinstance(self.model, Recogniser):
            self.recogniser_ = self.model
        else:
            self.recogniser_ = Recogniser(None if self.model == "default" else self.model, device=self.device)
        self.recogniser_._network.require_embedding()
        return self

    def transform(self, recordings: Iterable[Any]) -> NDArray[np.float32]:
        """Return a row for each recording.

        Parameters
        ----------
        recordings : iterable
            Paths, open binary files, or pairs of samples, (n,) or (n, channels), and their rate in Hz.

        Returns
        -------
        ndarray of float32, shape (recordings, width)
            Of unit length; zeros for silence.

        Raises
        ------
        AudioError
            For a recording that cannot be used, with its path in `path`.
        UsageError
            For one path in place of several.
        """
        if isinstance(recordings, (str, bytes, os.PathLike)):
            raise UsageError(f"Embedder takes a list of recordings; give [{str(recordings)!r}]")
        if not hasattr(self, "recogniser_"):
            self.fit([])
        rows = list(in_order(self._one, recordings, self.jobs or os.cpu_count() or 1))
        return np.array(rows, dtype=np.float32).reshape(-1, self.recogniser_.embedding_width)

    def _one(self, recording: Any) -> NDArray[np.float32]:
        if isinstance(recording, tuple):
            samples, rate = recording
            return self.recogniser_.embed(np.asarray(samples), sample_rate=int(rate))
        return self.recogniser_.embed(recording)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the columns.

        Parameters
        ----------
        input_features
            Not used.

        Returns
        -------
        ndarray of str
        """
        return np.array([f"embedding{i}" for i in range(self.recogniser_.embedding_width)], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "recogniser_")
