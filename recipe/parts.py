"""Parts to play: what one instrument does for ten seconds, cut from MIDI files or made up.

A part is a float32 array (notes, 4): onset and duration in seconds, MIDI pitch, velocity 1 to 127.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whoplays.errors import RenderError

Part = NDArray[np.float32]

_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 8, 11), (0, 2, 4, 7, 9), (0, 3, 5, 6, 7, 10))
_CHORDS = ((0, 4, 7), (0, 3, 7), (0, 4, 7, 10), (0, 3, 7, 10), (0, 4, 7, 11), (0, 5, 7), (0, 4, 7, 14))
_GUITAR_STRINGS = (40, 45, 50, 55, 59, 64)


@dataclass(frozen=True)
class Song:
    """One MIDI file: its parts (channel by channel), which of them are drums, and the program each names."""

    name: str
    parts: tuple[Part, ...]
    programs: tuple[int, ...]
    drums: tuple[bool, ...]
    duration: float


def read_song(path: Path, *, longest_s: float = 600.0) -> Song:
    """Read a MIDI file. Raises `RenderError` when it is not one."""
    import mido
    from mido.midifiles.meta import KeySignatureError

    try:
        midi = mido.MidiFile(path, clip=True)
        messages = list(midi)
    except (OSError, EOFError, ValueError, KeyError, IndexError, KeySignatureError) as error:
        raise RenderError(f"{path.name} cannot be read as MIDI: {error}") from None
    program = [0] * 16
    notes: dict[tuple[int, int], list[tuple[float, float, float, float]]] = {}
    sounding: dict[tuple[int, int], tuple[float, float, int]] = {}
    now = 0.0
    for message in messages:
        now += message.time
        if now > longest_s:
            break
        if message.type == "program_change":
            program[message.channel] = message.program
        elif message.type in ("note_on", "note_off"):
            key = (message.channel, message.note)
            if key in sounding:
                onset, velocity, played = sounding.pop(key)
                notes.setdefault((message.channel, played), []).append((onset, now - onset, key[1], velocity))
            if message.type == "note_on" and message.velocity > 0:
                sounding[key] = (now, message.velocity, program[message.channel])
    kept = {key: np.array(sorted(rows), dtype=np.float32) for key, rows in sorted(notes.items()) if len(rows) >= 8}
    return Song(
        path.name,
        tuple(kept.values()),
        tuple(played for _, played in kept),
        tuple(channel == 9 for channel, _ in kept),
        now,
    )


def excerpt(part: Part, start: float, duration: float) -> Part:
    """Return the notes of `part` that begin within `duration` seconds from `start`, moved to begin at 0."""
    inside = part[(part[:, 0] >= start) & (part[:, 0] < start + duration)].copy()
    inside[:, 0] -= start
    return inside


def into_register(part: Part, low: float, high: float) -> Part:
    """Return the part moved by octaves towards the middle of low..high; notes still outside are folded in."""
    if not len(part):
        return part
    moved = part.copy()
    moved[:, 2] += 12 * np.round(((low + high) / 2 - np.median(part[:, 2])) / 12)
    while high - low >= 12 and (moved[:, 2] < low).any():
        moved[moved[:, 2] < low, 2] += 12
    while high - low >= 12 and (moved[:, 2] > high).any():
        moved[moved[:, 2] > high, 2] -= 12
    return moved


def _beats(rng: np.random.Generator, duration: float) -> float:
    return float(60.0 / rng.uniform(60, 180))


def melody(rng: np.random.Generator, duration: float, low: float, high: float) -> Part:
    """Return one line: a random walk through a scale, in a rhythm of its own, with rests."""
    beat = _beats(rng, duration)
    scale = np.array(_SCALES[rng.integers(len(_SCALES))])
    tones = np.concatenate([scale + 12 * octave for octave in range(-1, 11)]) + rng.integers(12)
    tones = tones[(tones >= low) & (tones <= high)]
    if tones.size == 0:
        tones = np.array([round((low + high) / 2)])
    values = np.array([0.25, 0.5, 0.5, 1.0, 1.0, 1.5, 2.0, 4.0])
    weights = rng.dirichlet(np.ones(values.size))
    length = rng.uniform(0.4, 1.05)
    loudness, rests = rng.uniform(50, 115), rng.uniform(0, 0.25)
    now, at, rows = rng.uniform(0, 1.0), int(rng.integers(tones.size)), []
    while now < duration:
        value = beat * rng.choice(values, p=weights)
        if rng.random() >= rests:
            rows.append((now, value * length, tones[at], np.clip(loudness + rng.normal(0, 10), 15, 127)))
        at = int(np.clip(at + rng.choice([-4, -2, -1, -1, 0, 1, 1, 2, 4]), 0, tones.size - 1))
        now += value
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


def chords(rng: np.random.Generator, duration: float, low: float, high: float) -> Part:
    """Return chords, struck together, broken or rolled, some over a bass line."""
    beat = _beats(rng, duration) * rng.choice([1.0, 2.0, 4.0])
    style = rng.choice(["block", "arpeggio", "roll"])
    rows, now, loudness = [], rng.uniform(0, 0.5), rng.uniform(45, 110)
    root = rng.uniform(low, max(low + 1, (low + high) / 2))
    while now < duration:
        shape = np.array(_CHORDS[rng.integers(len(_CHORDS))])
        if rng.random() < 0.4:
            shape = np.append(shape, shape[: rng.integers(1, 3)] + 12)
        pitches = np.clip(np.round(root + rng.integers(-5, 6)) + shape, low, high)
        if rng.random() < 0.3:
            pitches = np.append(pitches, max(low, pitches[0] - 12))
        gap = {"block": 0.004, "roll": 0.05, "arpeggio": beat / len(pitches)}[str(style)]
        for i, pitch in enumerate(pitches):
            rows.append(
                (now + i * gap, beat * rng.uniform(0.6, 1.1), pitch, np.clip(loudness + rng.normal(0, 8), 10, 127))
            )
        now += beat
    return np.array(rows, dtype=np.float32)


def strums(rng: np.random.Generator, duration: float, *, power_chords: bool = False) -> Part:
    """Return strummed guitar chords: up to six strings, a few milliseconds apart, down and up; or fifths, chugged."""
    eighth = _beats(rng, duration) / 2
    pattern = rng.random(8) < rng.uniform(0.4, 0.95)
    rows, fret, loudness, pace = [], rng.integers(0, 8), rng.uniform(60, 115), rng.uniform(0.004, 0.03)
    shape = rng.integers(0, 3, 6)
    for i, now in enumerate(np.arange(rng.uniform(0, 0.5), duration, eighth)):
        if i % 8 == 0:
            fret, shape = rng.integers(0, 8), rng.integers(0, 3, 6)
        if not pattern[i % 8]:
            continue
        if power_chords:
            pitches = 40 + fret + np.array([0, 7, 12])[: rng.integers(2, 4)]
        else:
            pitches = (np.array(_GUITAR_STRINGS) + fret + shape)[rng.integers(0, 3) :]
        order = pitches if i % 2 == 0 else pitches[::-1]
        held = eighth * rng.uniform(0.6, 2.5)
        rows += [
            (now + j * pace, held, pitch, np.clip(loudness + rng.normal(0, 8), 10, 127))
            for j, pitch in enumerate(order)
        ]
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


def long_tones(rng: np.random.Generator, duration: float, low: float, high: float) -> Part:
    """Return a few long notes, each alone or with one above it."""
    rows, now = [], rng.uniform(0, 1.5)
    while now < duration:
        held = rng.uniform(1.0, 4.5)
        pitch = float(rng.integers(int(low), int(high) + 1))
        velocity = rng.uniform(40, 120)
        rows.append((now, held, pitch, velocity))
        if rng.random() < 0.3:
            rows.append((now, held, min(high, pitch + float(rng.choice([3, 4, 7, 12]))), velocity))
        now += held + rng.uniform(0, 0.8)
    return np.array(rows, dtype=np.float32)


def hits(rng: np.random.Generator, duration: float) -> Part:
    """Return a made-up drum pattern (General MIDI map): a bar of sixteenths, repeated with changes, or loose hits."""
    pieces = np.array([36, 38, 42, 46, 49, 51, 41, 45, 48, 37])
    if rng.random() < 0.3:
        n = rng.integers(2, 25)
        onsets = np.sort(rng.uniform(0, duration, n))
        return np.stack(
            [
                onsets,
                np.full(n, 0.5),
                rng.choice(pieces[rng.permutation(10)[: rng.integers(1, 6)]], n),
                rng.uniform(30, 127, n),
            ],
            1,
        ).astype(np.float32)
    sixteenth = _beats(rng, duration) / 4
    chance = np.zeros((10, 16))
    chance[0, rng.choice([0, 4, 8, 12, 6, 10, 14], rng.integers(1, 6), replace=False)] = 0.95
    chance[1, [4, 12]] = 0.9
    chance[1] += 0.1 * (rng.random(16) < 0.3)
    chance[rng.choice([2, 5, 3]), :: rng.choice([1, 2, 4])] = 0.95
    chance[rng.integers(3, 10), rng.integers(16)] += 0.5
    if rng.random() < 0.3:
        chance[rng.integers(0, 4)] = 0
    rows = []
    for i, now in enumerate(np.arange(rng.uniform(0, 0.3), duration, sixteenth)):
        for piece in np.flatnonzero(rng.random(10) < chance[:, i % 16]):
            rows.append((now + rng.normal(0, 0.004), 0.3, pieces[piece], rng.uniform(50, 127)))
    return np.array(rows, dtype=np.float32).reshape(-1, 4)
