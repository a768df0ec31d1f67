"""Begin as another model: what a network of the recipe `default` has learnt, moved into one with more labels or units.

An exported network has its batch normalisation multiplied into the convolutions. Here the norms come back: the kernels stay
as exported, and every norm gets the mean and variance of what it sees on a sample, with a scale and a bias that undo them.
So the new network gives what the old one gave, in training mode as well as in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whoplays.errors import ModelError, UsageError
from whoplays.features import FeatureSettings
from whoplays.model import folder as model_folder
from whoplays.taxonomy.tree import Label
from whoplays.training.default import DefaultRun, Pool, identity_of
from whoplays.training.framework import load_keras
from whoplays.training.heads import Head, load_onnx, opened, split_head
from whoplays.training.settings import DefaultSettings
from whoplays.training.watch import Watcher

Array = NDArray[np.float32]

#: What is left of the drawn weights of new labels, so that they begin near their bias; and that bias: they are rare.
NEW_WEIGHTS, NEW_ATTENTION, NEW_BIAS = 0.3, 0.1, -3.0
#: Rows of the sample that are run at once.
AT_ONCE = 64
#: Noise on the kernels of copied channels, of their own spread.
NOISE = 0.1


@dataclass(frozen=True)
class Base:
    """A model to begin as.

    Attributes
    ----------
    id : str
        Its name and version.
    features : FeatureSettings
        What it reads.
    mean, variance : ndarray, shape (bands,)
        What it takes out of the features.
    labels : tuple of str
        What its outputs stand for: its labels, then those that only correct them.
    convolutions : sequence of (kernel, bias)
        Kernels (3, 3, channels in, channels out), norms included.
    dense, dense_scale, dense_bias : ndarray, shapes (n, hidden), (hidden,), (hidden,)
        The hidden layer, and what its norm does.
    head : Head
        The last layers.
    """

    id: str
    features: FeatureSettings
    mean: Array
    variance: Array
    labels: tuple[str, ...]
    convolutions: Sequence[tuple[Array, Array]]
    dense: Array
    dense_scale: Array
    dense_bias: Array
    head: Head


class WarmRun(DefaultRun):
    """A run of the recipe `default` whose network begins as a base."""

    def __init__(
        self, base: Base, training: Pool, validation: Pool, settings: DefaultSettings, folder: Path, watcher: Watcher
    ) -> None:
        """Raises `UsageError` for a base that reads other features than the rows have."""
        super().__init__(training, validation, settings, folder, watcher)
        self.base, self.identity = base, identity_of(settings, base.id)
        if base.features != training.settings:
            raise UsageError(f"{base.id} reads other features than the rows have; start from another model")

    def measured(self) -> tuple[Array, Array]:
        """Return what the base takes out of its features."""
        return self.base.mean, self.base.variance

    def network(self, *, fresh: bool) -> Any:
        """Return the network, which gives what the base gives; see `transfer`."""
        made, settings = super().network(fresh=fresh), self.settings
        if fresh:
            base = widened(self.base, settings.filters, settings.blocks, settings.hidden, seed=settings.seed)
            transfer(made, base, self.labels, self.sample())
        return made


def read(folder: Path) -> Base:
    """Read a model folder. Raises `ModelError` for a network that the recipe `default` did not train, or one in integers."""
    model = model_folder.read(folder)
    network = model.content(model_folder.NETWORK)
    _, head = split_head(network)
    onnx, graph = load_onnx(), opened(network).graph
    nodes, numbers = list(graph.node), {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    try:
        constants = [[numbers[name] for name in node.input if name in numbers] for node in nodes]
        kinds = [node.op_type for node in nodes]
        convolutions = [
            (c[0].transpose(2, 3, 1, 0), c[1]) for kind, c in zip(kinds, constants, strict=True) if kind == "Conv"
        ]
        at = kinds.index("MatMul")
        (scale,), (offset,) = constants[kinds.index("Mul")], constants[kinds.index("Add")]
        (dense_scale,), (dense_bias,) = constants[kinds.index("Mul", at)], constants[kinds.index("Add", at)]
        (dense,) = constants[at]
        if not convolutions or dense.shape[1] != len(head.weights):
            raise ValueError("no convolutions")
    except (ValueError, IndexError):
        raise ModelError(
            f"{folder}: its network is not as the recipe default exports it; start from another model"
        ) from None
    labels = (*(label.id for label in model.config.labels), *model.config.context)
    mean, variance = (value.astype(np.float32) for value in (-offset / scale, 1 / np.square(scale)))
    return Base(
        model.config.id,
        model.config.features,
        mean,
        variance,
        labels,
        convolutions,
        dense,
        dense_scale,
        dense_bias,
        head,
    )


def widened(base: Base, filters: Sequence[int], blocks: Sequence[int], hidden: int, *, seed: int = 0) -> Base:
    """Return a base with more channels and hidden units that gives nearly the same (Net2WiderNet: Chen 2016).

    New channels are copies of old ones; what reads them shares its weights among the copies, unevenly, and the copies'
    kernels get a little noise, so that they can learn to differ. filters, blocks: of the wider network, stage by stage. Returns
    the same base when nothing is wider, or when its stages are others.
    """
    firsts = np.cumsum([0, *(1 + 2 * n for n in blocks)])
    if firsts[-1] != len(base.convolutions):
        return base
    now = [base.convolutions[first][0].shape[3] for first in firsts[:-1]]
    wider = [old < new for old, new in zip(now, filters, strict=True)]
    if not any(wider) or any(old > new for old, new in zip(now, filters, strict=True)):
        return base
    rng = np.random.default_rng(seed)
    convolutions: list[tuple[Array, Array]] = []
    given = np.arange(1)  # which old channel each of the channels that come in is a copy of
    for (first, end), old, new in zip(pairwise(firsts), now, filters, strict=True):
        copies = _copies(rng, old, new)
        for i in range(first, end):
            kernel, bias = base.convolutions[i]
            shared = _shared(rng, kernel, given if i == first else copies, axis=2)
            convolutions.append((_noisy(rng, shared[..., copies], old), bias[copies]))
        given = copies
    bands = len(base.dense) // now[-1]
    dense = _shared(rng, base.dense.reshape(bands, now[-1], -1), given, axis=1).reshape(bands * len(given), -1)
    old = dense.shape[1]
    copies = _copies(rng, old, max(old, hidden))
    head = Head(
        _shared(rng, base.head.weights, copies, axis=0),
        base.head.bias,
        _shared(rng, base.head.attention, copies, axis=0),
        base.head.attention_bias,
    )
    return replace(
        base,
        convolutions=convolutions,
        dense=_noisy(rng, dense[:, copies], old),
        dense_scale=base.dense_scale[copies],
        dense_bias=base.dense_bias[copies],
        head=head,
    )


def _copies(rng: np.random.Generator, old: int, new: int) -> NDArray[np.int64]:
    """Return for each of `new` units which of `old` it is a copy of: first all of them, then some again."""
    return np.concatenate([np.arange(old), rng.choice(old, new - old, replace=new > 2 * old)])


def _shared(rng: np.random.Generator, kernel: Array, copies: NDArray[np.int64], axis: int) -> Array:
    """Return a kernel whose inputs on `axis` are copies of the old ones, each with a part of the weight."""
    moved = np.moveaxis(kernel, axis, 0)[copies]
    parts = rng.uniform(0.3, 0.7, moved.shape)
    totals = np.zeros((kernel.shape[axis], *moved.shape[1:]))
    np.add.at(totals, copies, parts)
    return np.moveaxis(moved * (parts / totals[copies]), 0, axis).astype(np.float32)


def _noisy(rng: np.random.Generator, kernel: Array, old: int) -> Array:
    """Return a kernel with noise on the outputs beyond `old`."""
    new = kernel[..., old:]
    if new.size:
        kernel[..., old:] += np.float32(NOISE) * new.std() * rng.standard_normal(new.shape).astype(np.float32)
    return kernel


def transfer(network: Any, base: Base, labels: Sequence[Label], sample: Array) -> None:
    """Let a network give what `base` gives for the labels that both have.

    Parameters
    ----------
    network : keras.Model
        As `networks.default_network` built it with the base's mean and variance, at least as many hidden units, and the
        base's filters and blocks. Changed in place.
    base : Base
    labels : sequence of Label
        The network's; where `base` lacks one, its weights stay as drawn, but smaller.
    sample : ndarray, shape (n, frames, bands)
        Features to measure the norms' means and variances on.

    Raises
    ------
    ModelError
        When the network's layers do not fit.
    """
    keras = load_keras()
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    over_time, attention = network.get_layer("frame_logits"), network.get_layer("attention")
    (hidden,) = (
        layer
        for layer in network.layers
        if isinstance(layer, keras.layers.Dense) and layer not in (over_time, attention)
    )
    mine, theirs = [tuple(c.kernel.shape) for c in convolutions], [kernel.shape for kernel, _ in base.convolutions]
    width, old = int(hidden.units), base.dense.shape[1]
    if mine != theirs or hidden.kernel.shape[0] != base.dense.shape[0] or width < old:
        raise ModelError(f"{base.id} has other filters, blocks or more hidden units than this network; set them alike")
    for layer, norm, (kernel, bias) in zip(convolutions, norms, base.convolutions, strict=False):
        layer.set_weights([kernel])
        _undo(network, layer, norm, np.ones_like(bias), bias, sample)
    kernel = hidden.get_weights()[0]
    kernel[:, :old] = base.dense
    hidden.set_weights([kernel])
    _undo(network, hidden, norms[-1], base.dense_scale, base.dense_bias, sample)
    ids = [label.id for label in labels]
    columns = [ids.index(label) for label in base.labels if label in ids]
    head = base.head.of([i for i, label in enumerate(base.labels) if label in ids])
    for layer, weights, bias, smaller, first in (
        (over_time, head.weights, head.bias, NEW_WEIGHTS, NEW_BIAS),
        (attention, head.attention, head.attention_bias, NEW_ATTENTION, 0.0),
    ):
        kernel, offset = layer.get_weights()
        kernel, offset = kernel * smaller, np.full_like(offset, first)
        kernel[:, columns] = 0
        kernel[:old, columns], offset[columns] = weights, bias
        layer.set_weights([kernel, offset])


def _undo(network: Any, layer: Any, norm: Any, scale: Array, bias: Array, sample: Array) -> None:
    """Set a norm to the statistics of its layer on the sample, so that the first units come out times `scale` plus `bias`."""
    probe = load_keras().Model(network.input, layer.output)
    parts = [np.asarray(probe.predict_on_batch(sample[i : i + AT_ONCE])) for i in range(0, len(sample), AT_ONCE)]
    made = np.concatenate(parts)
    axes = tuple(range(made.ndim - 1))
    mean, variance = made.mean(axis=axes), made.var(axis=axes)
    gamma, beta, *_ = norm.get_weights()
    n = len(scale)
    gamma[:n] = scale * np.sqrt(variance[:n] + norm.epsilon)
    beta[:n] = bias + scale * mean[:n]
    norm.set_weights([gamma, beta, mean, variance])
