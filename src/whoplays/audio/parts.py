"""The streams that a file is made of, and the time in them that could not be decoded."""

from __future__ import annotations

from dataclasses import dataclass, field

from .content import Piece

Pieces = tuple[Piece, ...]

W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
EBML = b"\x1a\x45\xdf\xa3"
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
VOC = b"Creative Voice File\x1a"

#: How files begin that may follow one whose own size is known.
_BEGINNINGS = (
    *(b"RIFF", b"RIFX", b"RF64", b"BW64", W64[:6], b"FORM", b"caff", b".snd", b"fLaC", b"OggS", b"#!AMR"),
    *(EBML, ASF[:8], b"wvpk", b"TTA1", b"FLV\1", b"DSD \x1c\0"),
)


def begins(head: bytes) -> bool:
    """Tell whether a recording begins with these bytes, eight or more."""
    return head.startswith(_BEGINNINGS) or head[4:8] == b"ftyp"


@dataclass(frozen=True)
class Gap:
    """Time of a recording that could not be decoded; silence stands in its place.

    start, end: seconds from the beginning; end None: to an unknown end. cause: what is wrong there.
    """

    start: float
    end: float | None
    cause: str


@dataclass(frozen=True)
class Frames:
    """The frames of a stream of MPEG audio.

    runs: (first byte, end, frames before the run, frames in it), counted with what is missing. layer: 1 to 3; size:
    samples in a frame; skip, drop: samples that the encoder added at the beginning and the end.
    """

    runs: tuple[tuple[int, int, int, int], ...]
    layer: int
    rate: int
    size: int
    skip: int
    drop: int

    @property
    def count(self) -> int:
        """How many frames there are, with those missing between runs."""
        return self.runs[-1][2] + self.runs[-1][3]

    @property
    def samples(self) -> int:
        """How many samples they hold of the recording itself."""
        return max(0, self.count * self.size - self.skip - self.drop)


@dataclass(frozen=True)
class Part:
    """One stream of a file.

    runs: what to show the decoder, several of them where damaged bytes between were left out. decoder: "any" (libsndfile,
    else FFmpeg), "ffmpeg", or "mpeg" (the frames one by one). claimed_s: the length that a header states and that can be
    held against what was decoded. cut: whether it certainly ends too early. starts: seconds at which the runs begin, where
    the format has no clock.
    """

    runs: tuple[Pieces, ...]
    decoder: str = "any"
    claimed_s: float | None = None
    cut: bool = False
    starts: tuple[float, ...] = ()
    frames: Frames | None = field(default=None, repr=False)
