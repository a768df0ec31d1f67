"""How a data set is built: what can be set, and the checks of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .. import features
from ..errors import DatasetError, require
from ..features import FeatureSettings

MAX_SHARD_MB = 1024
CLIPS_PER_SHARD = 256


@dataclass(frozen=True, kw_only=True)
class BuildSettings:
    """How a data set is built.

    features: "mfcc" (the report's 20 x 20), "logmel", or settings of one's own. clip_s: files longer than this are cut
    into consecutive clips; for features that keep every frame, shorter ones are repeated up to it.
    per_class: clips of each class (None: what the smallest class has; 0: all). pitch: semitones of each variant of a
    training clip; 0 is the clip itself. pitch_method: "spectrum" (ours) or "vocoder" (librosa's, as in the report).
    test, validation: shares of the clips. labels, parents, where, with_none: see `sources.read_source`.
    shortest_s: a clip with less sound is skipped. strict: so is one that is damaged.
    shard_mb: 0 for many small .npy files and one table of rows; else Arrow files of about that size, which hold their
    rows themselves: for data sets that no one machine should have to know whole (see `store`).
    clips_per_shard: maximum number of clips in a .npy file.
    """

    features: str | FeatureSettings = "mfcc"
    clip_s: float = 10.0
    per_class: int | None = None
    pitch: tuple[float, ...] = (0.0,)
    pitch_method: str = "spectrum"
    test: float = 0.2
    validation: float = 0.1
    seed: int = 0
    labels: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    with_none: bool = False
    shortest_s: float = 0.1
    shard_mb: int = 0
    strict: bool = False
    clips_per_shard: int = CLIPS_PER_SHARD

    def __post_init__(self) -> None:
        checks = [
            (
                not isinstance(self.features, str) or self.features in features.PRESETS,
                f"--features {self.features}: mfcc or logmel",
            ),
            (0.1 <= self.clip_s <= 3600, f"--clip {self.clip_s:g}: 0.1 to 3600 s"),
            (self.per_class is None or self.per_class >= 0, f"--per-class {self.per_class}: a number of clips, or all"),
            (0 < len(self.pitch) <= 49, f"--pitch: 1 to 49 variants, not {len(self.pitch)}"),
            (len(set(self.pitch)) == len(self.pitch), f"--pitch {self.pitch}: a variant stands twice"),
            (all(abs(shift) <= 24 for shift in self.pitch), f"--pitch {self.pitch}: -24 to 24 semitones"),
            (self.pitch_method in ("spectrum", "vocoder"), f"--pitch-method {self.pitch_method}: spectrum or vocoder"),
            (0 <= self.shard_mb <= MAX_SHARD_MB, f"--shard-mb {self.shard_mb}: 0 to {MAX_SHARD_MB} MB"),
            (self.clips_per_shard >= 1, f"clips_per_shard {self.clips_per_shard}: 1 or more"),
        ]
        require(checks, DatasetError, "{} is possible")

    @property
    def settings(self) -> FeatureSettings:
        """The features' settings."""
        return features.PRESETS[self.features] if isinstance(self.features, str) else self.features

    @property
    def frames(self) -> int:
        """Rows of each example's features."""
        return self.settings.frames(round(self.clip_s * self.settings.sample_rate))

    @property
    def row_bytes(self) -> int:
        """Bytes of one example's features."""
        return self.frames * self.settings.n_features * 4

    def to_dict(self) -> dict[str, Any]:
        """Return what distinguishes builds; a setting that is newer is left out where it changes nothing."""
        values = {**asdict(self), "features": self.settings.to_dict()}
        for name in ("shard_mb", "parents", "strict"):
            if not values[name]:
                del values[name]
        if self.clips_per_shard == CLIPS_PER_SHARD:
            del values["clips_per_shard"]
        return values
