"""Begin as another model: what a network of the recipe `default` has learnt, moved into one with more labels or units.

An exported network has its batch normalisation multiplied into the convolutions. Here the norms come back: the kernels stay
as exported, and every norm gets the mean and variance of what it sees on a sample, with a scale and a bias that undo them.
So the new network gives what the old one gave, in training mode as well as in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..features import FeatureSettings
from ..model import folder as model_folder
from ..taxonomy.tree import Label
from .framework import load_keras
from .heads import Head, initializers, split_head

Array = NDArray[np.float32]

#: What is left of the drawn weights of new labels, so that they begin near their bias; and that bias: they are rare.
NEW_WEIGHTS, NEW_ATTENTION, NEW_BIAS = 0.3, 0.1, -3.0
#: Rows of the sample that are run at once.
AT_ONCE = 64


@dataclass(frozen=True)
class Base:
    """A model to begin as.

    Attributes
    ----------
    id : str
        Name and version.
    labels : tuple of str
        What its outputs stand for: its labels, then those that only correct them.
    features : FeatureSettings
        What it reads.
    mean, variance : ndarray, shape (bands,)
        Taken out of the features first.
    convolutions : sequence of (kernel, bias)
        Kernels (3, 3, channels in, channels out), norms included.
    dense, dense_scale, dense_bias : ndarray, shapes (n, hidden), (hidden,), (hidden,)
        The hidden layer, and what its norm does.
    head : Head
        The last layers.
    """

    id: str
    labels: tuple[str, ...]
    features: FeatureSettings
    mean: Array
    variance: Array
    convolutions: Sequence[tuple[Array, Array]]
    dense: Array
    dense_scale: Array
    dense_bias: Array
    head: Head


def read(folder: Path) -> Base:
    """Read a model folder.

    Raises
    ------
    ModelError
        For a network that the recipe `default` did not train, or one in 8-bit integers.
    """
    model = model_folder.read(folder)
    network = model.content(model_folder.NETWORK)
    _, head = split_head(network)
    nodes, numbers = initializers(network)
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
        labels,
        model.config.features,
        mean,
        variance,
        convolutions,
        dense,
        dense_scale,
        dense_bias,
        head,
    )


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
        Features that the norms' means and variances are taken from.

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
