"""Players: a part -> samples. From recorded notes, or through a soundfont."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whoplays.errors import RenderError
from whoplays.runtime.packages import needed

from .labels import Sounding, label_of_program
from .notes import SAMPLE_RATE, Clip, Library, Voice
from .parts import Part

Array = NDArray[np.float32]

#: How a General MIDI drum key is found among recorded pieces, best first.
_PIECES = {
    35: ("kick",), 36: ("kick",), 37: ("sidestick", "snare"), 38: ("snare",), 40: ("snare", "sidestick"),
    42: ("hihat-closed", "ride"), 44: ("hihat-closed",), 46: ("hihat-open", "hihat-closed"), 22: ("hihat-closed",),
    26: ("hihat-open",), 49: ("crash", "ride"), 55: ("crash",), 57: ("crash",), 52: ("crash",), 51: ("ride", "hihat-closed"),
    53: ("ride",), 59: ("ride",), 41: ("tom",), 43: ("tom",), 45: ("tom",), 47: ("tom",), 48: ("tom",), 50: ("tom",),
    58: ("tom",),
}  # fmt: skip
_TOM_KEYS = (41, 43, 45, 47, 48, 50)
_BENDING = ("brass", "strings")


@dataclass(frozen=True)
class Played:
    """What a player did: samples (n,) and what they count for."""

    samples: Array
    label: Sounding
    instrument: str


class RecordedVoice:
    """Plays a part on the notes of one `Voice`: nearest pitch, shifted by resampling; fades where a note is cut."""

    def __init__(self, library: Library, voice: Voice, *, size: float = 0.0) -> None:
        """Take up a voice; its register reaches a little beyond its notes.

        size: semitones by which all of it is moved, spectrum and register together, as if the instrument were built
        smaller (above 0) or larger. A trombone played an octave up by resampling has the proportions of a trumpet.
        """
        self._library, self.voice, self._size = library, voice, size
        self.label, self.instrument = voice.label, voice.instrument
        known = voice.pitches[~np.isnan(voice.pitches)]
        self.pitched = known.size >= 2
        self.low, self.high = 48.0, 72.0
        if known.size:
            self.low, self.high = float(known.min()) - 2 + size, float(known.max()) + 3 + size

    def resized(self, size: float) -> RecordedVoice:
        """Return the same voice, built smaller by `size` semitones."""
        return RecordedVoice(self._library, self.voice, size=size)

    def play(self, rng: np.random.Generator, part: Part, n: int) -> Array:
        """Return `n` samples of the part; each note at the loudness its velocity asks for."""
        out = np.zeros(n, dtype=np.float32)
        clips = self._consistent_articulation(rng)
        pitches = np.array([60.0 if clip.pitch is None else clip.pitch for clip in clips]) + self._size
        bends = self.label.family in _BENDING and rng.random() < 0.35
        depth, rate = rng.uniform(0.05, 0.4) * bends, rng.uniform(4, 7)
        tuning, release, legato = rng.normal(0, 0.15), rng.uniform(0.05, 0.35), rng.random() < 0.4
        attack = rng.uniform(0.02, 0.08) if legato and self.label.family in _BENDING else 0.0
        dynamics = rng.uniform(12, 40)
        for onset, duration, pitch, velocity in part:
            at = int(onset * SAMPLE_RATE)
            if at < 0 or at >= n:
                continue
            distance = np.abs(pitches - pitch)
            near = np.flatnonzero(distance <= distance.min() + 1.01)
            clip = clips[near[rng.integers(near.size)]]
            shift = float(np.clip(pitch - clip.pitch - self._size, -7, 7)) if clip.pitch is not None else 0.0
            shift += tuning + self._size
            wanted = int((duration + release) * SAMPLE_RATE)
            note = resampled(self._library.samples(clip), shift, min(wanted, n - at), depth, rate)
            _fade(note, int(attack * SAMPLE_RATE), int(release * SAMPLE_RATE))
            note *= 10.0 ** ((velocity - 127) / 127 * dynamics / 20)
            out[at : at + note.size] += note
        return out

    def _consistent_articulation(self, rng: np.random.Generator) -> list[Clip]:
        """Mostly one articulation for a part, where a voice has several with enough notes."""
        groups: dict[str, list[Clip]] = {}
        for clip in self.voice.clips:
            groups.setdefault(clip.articulation, []).append(clip)
        large = [group for group in groups.values() if len(group) >= 6]
        return large[rng.integers(len(large))] if large and rng.random() < 0.7 else list(self.voice.clips)


Hit = Callable[[], Array]


class Kit:
    """Plays a drum part on the hits of one kit, recorded or made."""

    label, instrument, pitched = Sounding(("drums",)), "drum-kit", False

    def __init__(self, pieces: Mapping[str, Sequence[Array | Hit]]) -> None:
        """Take up hits by piece ("kick", "snare" ...): samples (n,), or what returns them."""
        self.pieces = pieces

    def _hit(self, piece: str, index: int) -> Array:
        found = self.pieces[piece][index]
        return found() if callable(found) else found

    def any_hit(self, rng: np.random.Generator) -> Array:
        """Return one hit, drawn piece first."""
        piece = sorted(self.pieces)[rng.integers(len(self.pieces))]
        return self._hit(piece, int(rng.integers(len(self.pieces[piece]))))

    def play(self, rng: np.random.Generator, part: Part, n: int) -> Array:
        """Return `n` samples of the part; a piece that the kit lacks is left out."""
        out = np.zeros(n, dtype=np.float32)
        gains = {piece: 10.0 ** (rng.normal(0, 4) / 20) for piece in self.pieces}
        shift, dynamics = rng.normal(0, 1.0), rng.uniform(15, 40)
        tom: dict[int, int] = {}
        for onset, _, key, velocity in part:
            at = int(onset * SAMPLE_RATE)
            piece = next((p for p in _PIECES.get(int(key), ()) if p in self.pieces), None)
            if piece is None or not 0 <= at < n:
                continue
            index = int(rng.integers(len(self.pieces[piece])))
            if int(key) in _TOM_KEYS:  # one drum for one key
                index = tom.setdefault(int(key), index)
            hit = resampled(self._hit(piece, index), shift, n - at)
            out[at : at + hit.size] += hit * np.float32(gains[piece] * 10.0 ** ((velocity - 127) / 127 * dynamics / 20))
        return out


def recorded_kit(library: Library, clips: Sequence[Clip]) -> Kit:
    """Return the kit whose hits `clips` are, sorted by piece."""
    pieces: dict[str, list[Array | Hit]] = {}
    for clip in clips:
        for piece in _pieces_of(clip):
            pieces.setdefault(piece, []).append(partial(library.samples, clip))
    return Kit(pieces)


def _pieces_of(clip: Clip) -> tuple[str, ...]:
    if clip.instrument != "drum-machine":
        return (clip.instrument,)
    name = clip.path.rsplit("/", 1)[-1].lower()
    words = {
        "kick": "kick", "bd": "kick", "bass": "kick", "snare": "snare", "sd": "snare", "rim": "sidestick",
        "open": "hihat-open", "oh": "hihat-open", "hh": "hihat-closed", "hat": "hihat-closed", "tom": "tom",
        "crash": "crash", "cym": "crash", "ride": "ride",
    }  # fmt: skip
    return (next((piece for word, piece in words.items() if word in name), "sidestick"),)


def resampled(wave: Array, semitones: float, longest: int, depth: float = 0.0, rate: float = 5.0) -> Array:
    """Return at most `longest` samples of `wave` played faster by `semitones`, with vibrato of `depth` semitones."""
    step = 2.0 ** (semitones / 12)
    n = min(longest, int(wave.size / step) - 1)
    if n <= 0:
        return np.zeros(0, dtype=np.float32)
    positions = np.arange(n, dtype=np.float32) * np.float32(step)
    if depth > 0:
        swing = np.float32(depth * np.log(2) / 12 * step * SAMPLE_RATE / (2 * np.pi * rate))
        positions += swing * np.sin(np.arange(n, dtype=np.float32) * np.float32(2 * np.pi * rate / SAMPLE_RATE))
        np.clip(positions, 0, wave.size - 2, out=positions)
    index = positions.astype(np.int32)
    positions -= index
    low = wave[index]
    index += 1
    np.minimum(index, wave.size - 1, out=index)
    low += positions * (wave[index] - low)
    return low


def _fade(note: Array, attack: int, release: int) -> None:
    attack, release = min(attack, note.size), min(release, note.size)
    if attack:
        note[:attack] *= np.linspace(0, 1, attack, dtype=np.float32)
    if release:
        note[-release:] *= np.linspace(1, 0, release, dtype=np.float32)


class SoundfontPlayer:
    """Plays a part on one program of a soundfont."""

    pitched = True

    def __init__(self, font: Soundfont, program: int, bank: int = 0) -> None:
        """Take up a preset; bank 128 holds the drum kits."""
        self._font, self._program, self._bank = font, program, bank
        self.is_kit = bank == 128
        self.label = Sounding(("drums",)) if self.is_kit else label_of_program(program)
        self.instrument = "drum-kit" if self.is_kit else f"program-{program}"
        self.low, self.high = map(float, _REGISTERS.get(program, (40, 84)))

    def play(self, rng: np.random.Generator, part: Part, n: int) -> Array:
        """Return `n` samples of the part."""
        return self._font.play(part, n, program=self._program, bank=self._bank, wet=rng.random() < 0.5)


#: Lowest and highest pitch of General MIDI programs, as their instruments are played.
_REGISTERS = {
    24: (40, 80), 25: (40, 80), 26: (40, 80), 27: (40, 84), 28: (40, 76), 29: (40, 84), 30: (40, 84), 31: (60, 90),
    32: (28, 52), 33: (28, 52), 34: (28, 52), 35: (28, 52), 36: (28, 52), 37: (28, 52), 38: (28, 52), 39: (28, 52),
    40: (55, 96), 41: (48, 84), 42: (36, 76), 43: (28, 55), 44: (40, 88), 45: (36, 88), 47: (36, 60), 48: (36, 90),
    49: (36, 90), 56: (54, 84), 57: (40, 72), 58: (28, 58), 59: (54, 84), 60: (40, 77), 61: (40, 80), 64: (56, 88),
    65: (49, 80), 66: (44, 75), 67: (36, 68), 68: (58, 90), 69: (52, 80), 70: (34, 70), 71: (50, 90), 72: (74, 105),
    73: (60, 96), 109: (60, 84), 110: (55, 96),
}  # fmt: skip


class Soundfont:
    """A soundfont file, open in fluidsynth. One for each process: the synthesiser keeps a state."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises `MissingExtraError` without pyfluidsynth, `RenderError` for what is no soundfont."""
        with needed("playing a soundfont", "render", package="pyfluidsynth"):
            import fluidsynth
        self._synth = fluidsynth.Synth(samplerate=float(SAMPLE_RATE), gain=0.4)
        self._font = self._synth.sfload(str(path)) if path.is_file() else -1
        if self._font < 0:
            raise RenderError(
                f"{path}: {'is no soundfont' if path.is_file() else 'not found'}; name an .sf2 or .sf3 file"
            )
        self.name = path.stem

    def has(self, program: int, bank: int) -> bool:
        """Whether the font has that preset."""
        return bool(self._synth.sfpreset_name(self._font, bank, program))

    def play(self, part: Part, n: int, *, program: int, bank: int, wet: bool) -> Array:
        """Return `n` mono samples of the part on one preset, with the synthesiser's own room when `wet`."""
        synth = self._synth
        synth.system_reset()
        synth.program_select(0, self._font, bank, program)
        synth.cc(0, 91, 40 if wet else 0)
        synth.cc(0, 93, 20 if wet else 0)
        events = [(onset, 1, int(pitch), int(velocity)) for onset, _, pitch, velocity in part]
        events += [(onset + held, 0, int(pitch), 0) for onset, held, pitch, _ in part]
        out, at = np.zeros(n, dtype=np.float32), 0
        for when, begins, pitch, velocity in sorted(events):
            until = min(n, int(when * SAMPLE_RATE))
            if until > at:
                out[at:until] = _mono(synth.get_samples(until - at))
                at = until
            if begins:
                synth.noteon(0, min(127, max(0, pitch)), min(127, max(1, velocity)))
            else:
                synth.noteoff(0, min(127, max(0, pitch)))
        if at < n:
            out[at:] = _mono(synth.get_samples(n - at))
        return out


def _mono(samples: NDArray[np.int16]) -> Array:
    return np.asarray(samples.reshape(-1, 2).astype(np.float32).mean(axis=1) / 32768, dtype=np.float32)


@lru_cache(maxsize=16)
def soundfont(path: Path) -> Soundfont:
    """Return the open soundfont of `path`, opened once in a process."""
    return Soundfont(path)
