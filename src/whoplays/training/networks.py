"""The networks, nothing else. Each reads features (batch, frames, width) and ends in logits, then an activation.

The layer called `logits` is where an exported network ends: what comes after it is applied by whoever uses the model.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .framework import load_keras

keras: Any = load_keras()
layers: Any = keras.layers
ops: Any = keras.ops

_GOLDEN = 0x9E3779B1  # 2**32 / golden ratio: spreads consecutive numbers over all bits


def _int32(value: int) -> np.int32:
    return np.uint32(value & 0xFFFFFFFF).astype(np.int32)


def _mixed(bits: Any) -> Any:
    """Return int32 values whose every bit depends on all bits of the argument (Wellons' `lowbias32`, 2018)."""
    bits = ops.bitwise_xor(bits, ops.bitwise_and(ops.right_shift(bits, 16), 0xFFFF)) * _int32(0x7FEB352D)
    bits = ops.bitwise_xor(bits, ops.bitwise_and(ops.right_shift(bits, 15), 0x1FFFF)) * _int32(0x846CA68B)
    return ops.bitwise_xor(bits, ops.bitwise_and(ops.right_shift(bits, 16), 0xFFFF))


@keras.saving.register_keras_serializable(package="whoplays")
class CountedDropout(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Dropout (Srivastava 2014) whose draws are a plain function of (seed, call, place).

    Keras' own layer draws different masks with and without XLA, and with every backend. Here the n-th call drops
    the same units everywhere, so compiled training can be checked against plain `fit`, number by number. It is also
    cheap: at batch 2, drawing the masks the usual way took nearly half of a compiled step (python -m bench training_step).
    """

    def __init__(self, rate: float, *, seed: int = 0, **keywords: Any) -> None:
        """Drop the share `rate` (0 to 1, not included) of the inputs in training; scale the rest to make up for it."""
        super().__init__(**keywords)
        if not 0 <= rate < 1:
            raise ValueError(f"rate is {rate}; 0 up to 1, not included, can be dropped")
        self.rate, self.seed = float(rate), int(seed)
        self.calls = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False, name="calls")

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return inputs (batch, ...), of the same shape, as they are unless `training`."""
        if not training or self.rate == 0:
            return inputs
        key = _mixed(ops.cast(self.calls, "int32") + _int32(self.seed * _GOLDEN))
        self.calls.assign(self.calls + 1)
        shape = ops.shape(inputs)
        places = ops.arange(shape[0] * int(np.prod(inputs.shape[1:])), dtype="int32")
        drawn = ops.bitwise_and(_mixed(places * _int32(_GOLDEN) + key), 0xFFFFFF)  # 24 bits, evenly spread
        keep = ops.reshape(drawn, shape) >= int(self.rate * (1 << 24))
        return ops.where(keep, inputs / (1 - self.rate), ops.zeros_like(inputs))

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is made from."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


def drop_apart(model: Any, rank: int) -> None:
    """Let a model drop other units than its copies in other processes do; rank: of this process, the first's is 0."""
    for layer in model.layers:
        if isinstance(layer, CountedDropout):
            layer.seed += rank << 20


def mfcc_cnn_network(
    frames: int,
    width: int,
    n_labels: int,
    *,
    l2: float = 0.001,
    dropout: float = 0.5,
    activation: str = "softmax",
    seed: int = 0,
) -> Any:
    """Return the report's network: features (batch, frames, width) -> probabilities (batch, n_labels).

    Two rounds of Conv1D(3, relu) and MaxPooling1D(2) with 64 and 128 filters, then Dense 256 and 128 (relu, L2 on
    the kernels, dropout after each) and the labels. At least 10 frames are needed for the two rounds to leave one.
    activation: "softmax" as in the report, or "sigmoid". Equal seeds give equal weights and equal dropout.
    """
    if frames < 10:
        raise ValueError(f"{frames} frames are too few; two rounds of convolution and pooling need 10")

    def initializer(n: int) -> Any:
        return keras.initializers.GlorotUniform(seed=seed * 16 + n)

    def conv(filters: int, n: int) -> Any:
        return layers.Conv1D(filters, 3, activation="relu", kernel_initializer=initializer(n), name=f"conv_{n}")

    def dense(units: int, n: int) -> Any:
        penalty = keras.regularizers.L2(l2) if l2 else None
        kernel = {"kernel_regularizer": penalty, "kernel_initializer": initializer(n)}
        return layers.Dense(units, activation="relu", name=f"dense_{n}", **kernel)

    features = x = keras.Input((frames, width), name="features")  # (batch, 20, 20)
    x = layers.MaxPooling1D(2)(conv(64, 1)(x))  # (batch, 9, 64)
    x = layers.MaxPooling1D(2)(conv(128, 2)(x))  # (batch, 3, 128)
    x = layers.Flatten(name="flatten")(x)  # (batch, 384)
    x = CountedDropout(dropout, seed=seed * 16 + 3, name="dropout_3")(dense(256, 3)(x))
    x = CountedDropout(dropout, seed=seed * 16 + 4, name="dropout_4")(dense(128, 4)(x))
    x = layers.Dense(n_labels, kernel_initializer=initializer(5), name="logits")(x)
    return keras.Model(features, layers.Activation(activation, name="probabilities")(x), name="mfcc_cnn")


def default_network(
    bands: int,
    n_labels: int,
    *,
    mean: Any = 0.0,
    variance: Any = 1.0,
    filters: tuple[int, ...] = (16, 32, 64, 128),
    blocks: tuple[int, ...] = (0, 1, 2, 2),
    hidden: int = 256,
    dropout: float = 0.2,
    seed: int = 0,
) -> Any:
    """Return the network that ships: log-mel (batch, frames, bands), any number of frames -> logits, over time and in all.

    Outputs, by name: "logits" (batch, n_labels); "frame_logits" (batch, steps, n_labels), a step for every 16 frames, and
    "attention", their log weights in "logits", of the same shape. mean, variance: (bands,) of the features, taken out
    first. seed: of dropout.

    Each entry of `filters` halves time and frequency by a 3 x 3 convolution with stride 2, and is followed by `blocks`
    residual blocks (He 2015). Dense convolutions: they train twenty times faster than depthwise ones on a processor.
    The recording's logit is a weighted mean of those over time, with weights that the network learns for each label
    (attention pooling: Ilse 2018), so it depends little on the recording's length.
    """

    def conv(x: Any, n: int, *, stride: int = 1, activate: bool = True) -> Any:
        x = layers.Conv2D(n, 3, strides=stride, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.98)(x)
        return layers.ReLU()(x) if activate else x

    features = keras.Input((None, bands), name="features")
    scale = 1.0 / np.sqrt(np.broadcast_to(np.asarray(variance, dtype=np.float32), bands))
    offset = -scale * np.broadcast_to(np.asarray(mean, dtype=np.float32), bands)
    x = layers.Rescaling(scale.tolist(), offset.tolist())(features)
    x = layers.Reshape((-1, bands, 1))(x)
    for n, count in zip(filters, blocks, strict=True):
        x = conv(x, n, stride=2)
        for _ in range(count):
            x = layers.ReLU()(layers.Add()([x, conv(conv(x, n), n, activate=False)]))
    x = layers.Reshape((-1, x.shape[2] * x.shape[3]))(x)  # (batch, steps, bands / 16 * filters)
    x = CountedDropout(dropout, seed=seed * 2)(x)
    x = layers.BatchNormalization(momentum=0.98)(layers.Dense(hidden, use_bias=False)(x))
    x = layers.ReLU(name="embedding")(x)
    over_time = layers.Dense(n_labels, name="frame_logits")(CountedDropout(dropout, seed=seed * 2 + 1)(x))
    attention = layers.Dense(n_labels, name="attention")(x)
    weights = layers.Softmax(axis=1)(attention)
    logits = layers.Identity(name="logits")(ops.sum(weights * over_time, axis=1))
    return keras.Model(features, {"logits": logits, "frame_logits": over_time, "attention": attention}, name="default")
