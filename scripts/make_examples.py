"""Render the example recordings of the package: our own little tunes, played by the FluidR3 soundfont (MIT licence).

    apt-get install fluidsynth fluid-soundfont-gm
    python scripts/make_examples.py [SOUNDFONT.sf2]

Writes src/whoplays/examples/*.ogg and examples.json (who plays when, as composed).
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr

FOLDER = Path(__file__).parents[1] / "src" / "whoplays" / "examples"
SOUNDFONT = "/usr/share/sounds/sf2/FluidR3_GM.sf2"
RATE = 32000
TICKS = 480  # a quarter note
CHORDS = ((57, 60, 64), (53, 57, 60), (60, 64, 67), (55, 59, 62))  # A minor, F, C, G

Note = tuple[float, float, int, int]  # beat, length in beats, pitch, velocity


def variable(value: int) -> bytes:
    """A MIDI file's variable-length number."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(value & 0x7F | 0x80)
    return bytes(reversed(out))


def track(channel: int, program: int, volume: int, pan: int, notes: list[Note]) -> bytes:
    """One MTrk chunk: a program, a volume, a place, and notes."""
    events = [
        (0, 0, bytes([0xC0 | channel, program])),
        (0, 0, bytes([0xB0 | channel, 7, volume])),
        (0, 0, bytes([0xB0 | channel, 10, pan])),
    ]
    for beat, length, pitch, velocity in notes:
        events.append((round(beat * TICKS), 2, bytes([0x90 | channel, pitch, velocity])))
        events.append((round((beat + length) * TICKS), 1, bytes([0x80 | channel, pitch, 0])))
    body, at = b"", 0
    for tick, _, data in sorted(events):
        body, at = body + variable(tick - at) + data, tick
    body += b"\x00\xff\x2f\x00"
    return b"MTrk" + struct.pack(">I", len(body)) + body


def midi(bpm: float, tracks: list[bytes]) -> bytes:
    """A format 1 file."""
    tempo = b"\x00\xff\x51\x03" + struct.pack(">I", round(60e6 / bpm))[1:] + b"\x00\xff\x2f\x00"
    chunks = [b"MTrk" + struct.pack(">I", len(tempo)) + tempo, *tracks]
    return b"MThd" + struct.pack(">IHHH", 6, 1, len(chunks), TICKS) + b"".join(chunks)


def broken_chords(first_bar: int, bars: int, low: int = -12, velocity: int = 72) -> list[Note]:
    """Eighths up and down each bar's chord over its root."""
    notes: list[Note] = []
    for bar in range(first_bar, first_bar + bars):
        chord = CHORDS[bar % 4]
        notes.append((bar * 4, 3.9, chord[0] + low, velocity))
        for i, step in enumerate((0, 1, 2, 1, 0, 1, 2, 1)):
            notes.append((bar * 4 + i / 2, 0.9, chord[step], velocity - 8 * (i % 2)))
    return notes


def melody(first_bar: int, bars: int, up: int, velocity: int, rng: np.random.Generator) -> list[Note]:
    """Long and short notes of each bar's chord, with steps between."""
    notes: list[Note] = []
    for bar in range(first_bar, first_bar + bars):
        beat = 0.0
        while beat < 4:
            length = float(rng.choice([1.0, 1.5, 2.0]))
            length = min(length, 4 - beat)
            notes.append(
                (
                    bar * 4 + beat,
                    length * 0.97,
                    int(rng.choice(CHORDS[bar % 4])) + up,
                    velocity + int(rng.integers(-6, 7)),
                )
            )
            beat += length
    return notes


def strummed(first_bar: int, bars: int, velocity: int) -> list[Note]:
    """Chords in a rock rhythm, the strings one after another."""
    notes: list[Note] = []
    for bar in range(first_bar, first_bar + bars):
        root, third, fifth = CHORDS[bar % 4]
        for beat, length in ((0, 1.4), (1.5, 0.4), (2, 0.9), (3, 0.4), (3.5, 0.4)):
            for i, pitch in enumerate((root - 12, fifth - 12, root, third, fifth)):
                notes.append((bar * 4 + beat + i * 0.02, length, pitch, velocity - 3 * i))
    return notes


def groove(first_bar: int, bars: int) -> list[Note]:
    """Kick, snare, hi-hat, a crash to begin with."""
    notes: list[Note] = [(first_bar * 4, 1, 49, 95)]
    for bar in range(first_bar, first_bar + bars):
        notes += [(bar * 4 + b, 0.2, 36, 105) for b in (0, 1.5, 2.5)] + [(bar * 4 + b, 0.2, 38, 100) for b in (1, 3)]
        notes += [(bar * 4 + b / 2, 0.1, 42, 80 - 20 * (b % 2)) for b in range(8)]
    return notes


def bass(first_bar: int, bars: int) -> list[Note]:
    """The roots, in eighths."""
    return [
        (bar * 4 + i / 2, 0.45, CHORDS[bar % 4][0] - 24, 90)
        for bar in range(first_bar, first_bar + bars)
        for i in range(8)
    ]


def pieces() -> dict[str, tuple[float, list[bytes], list[tuple[str, float, float]], str]]:
    """Return name -> (tempo, tracks, (family, first bar, last bar) as composed, title)."""
    rng = np.random.default_rng(7)
    return {
        "violin-and-piano": (
            96,
            [track(0, 0, 100, 54, broken_chords(0, 7)), track(1, 40, 105, 74, melody(2, 5, 12, 92, rng))],
            [("piano", 0, 7), ("strings", 2, 7)],
            "Piano from the start; a violin comes in with the third bar.",
        ),
        "band": (
            112,
            [
                track(0, 27, 100, 48, strummed(0, 8, 92)),
                track(1, 33, 95, 64, bass(2, 6)),
                track(9, 0, 105, 64, groove(2, 6)),
            ],
            [("guitar", 0, 8), ("drums", 2, 8)],
            "An electric guitar alone; drums and a bass guitar, which is no guitar here, join with the third bar.",
        ),
        "brass-quartet": (
            88,
            [
                track(0, 56, 100, 44, melody(0, 6, 12, 92, rng)),
                track(1, 56, 92, 60, melody(0, 6, 7 - 7, 86, rng)),
                track(2, 60, 96, 74, melody(0, 6, 0, 88, rng)),
                track(3, 57, 100, 84, melody(0, 6, -12, 90, rng)),
            ],
            [("brass", 0, 6)],
            "Two trumpets, a horn and a trombone.",
        ),
    }


def render(content: bytes, soundfont: str) -> np.ndarray:
    """Samples (n, 2) at RATE, played by fluidsynth with its own room."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "a.mid"), Path(folder, "a.wav")
        source.write_bytes(content)
        subprocess.run(
            ["fluidsynth", "-ni", "-q", "-r", "44100", "-g", "0.6", "-F", str(target), soundfont, str(source)],
            check=True,
        )
        samples, rate = soundfile.read(target, dtype="float32")
    return soxr.resample(samples, rate, RATE, quality="VHQ")


def main() -> None:
    """Render all, at -1.5 dBFS, with a short fade after the last bar."""
    soundfont = sys.argv[1] if len(sys.argv) > 1 else SOUNDFONT
    facts = {}
    for name, (bpm, tracks, played, title) in pieces().items():
        samples = render(midi(bpm, tracks), soundfont)
        seconds = max(last for _, _, last in played) * 4 * 60 / bpm
        samples = samples[: round((seconds + 0.8) * RATE)]
        fade = round(0.7 * RATE)
        samples[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)[:, None]
        samples *= 0.84 / np.abs(samples).max()
        soundfile.write(
            FOLDER / f"{name}.ogg", samples.mean(axis=1), RATE, format="OGG", subtype="VORBIS", compression_level=0.55
        )
        facts[f"{name}.ogg"] = {
            "title": title,
            "playing": [[family, round(a * 240 / bpm, 2), round(b * 240 / bpm, 2)] for family, a, b in played],
        }
    (FOLDER / "examples.json").write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
