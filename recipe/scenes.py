"""Scenes: ten seconds of labelled sound, drawn from a seed. Who plays what, in which room, through which desk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import parts as made
from .labels import FAMILY_IDS, NotesLabel
from .machine import drum_machine
from .notes import SAMPLE_RATE, Clip, Library
from .parts import Part, Song, excerpt, into_register
from .players import Kit, Played, RecordedVoice, SoundfontPlayer, recorded_kit, resampled, soundfont
from .production import Rooms, db, level, mix_chain, stem_chain

Array = NDArray[np.float32]
Player = RecordedVoice | Kit | SoundfontPlayer

#: A step of the labels over time: 0.32 s, sixteen frames of 20 ms.
STEP = SAMPLE_RATE * 16 // 50
STEPS = 32
N_SAMPLES = STEP * STEPS
DURATION_S = N_SAMPLES / SAMPLE_RATE
#: A family counts as heard in a step down to this far under the whole; a little lower it is unknown, then absent.
HEARD_DB, UNHEARD_DB = -26.0, -38.0

#: What plays together. "other": anything that is none of the five.
ENSEMBLES = (
    ("drums", "guitar", "bass"), ("drums", "guitar", "guitar", "bass"), ("drums", "guitar", "piano", "bass"),
    ("drums", "piano", "bass"), ("drums", "piano", "brass", "bass"), ("drums", "brass", "bass", "other"),
    ("drums", "guitar", "brass", "bass"), ("drums", "other", "bass"), ("drums", "bass"), ("drums", "guitar", "voice"),
    ("strings", "strings", "strings"), ("strings", "strings", "brass", "other"), ("strings", "brass"), ("strings", "piano"),
    ("strings", "guitar"), ("strings", "drums"), ("strings", "brass", "drums", "other"),
    ("strings", "strings", "piano"), ("brass", "brass", "brass"), ("brass", "brass", "brass", "brass"), ("brass", "piano"),
    ("brass", "guitar"), ("brass", "drums"),
    ("brass", "other"), ("brass", "other", "other"), ("piano", "other"), ("piano", "voice"), ("piano", "guitar"),
    ("piano", "drums"), ("guitar", "drums"), ("guitar", "other"), ("guitar", "voice"), ("guitar", "guitar"), ("guitar", "bass"),
    ("other", "other"), ("other", "voice"), ("other", "bass"), ("strings", "other"), ("strings", "other", "other"),
    ("drums", "guitar", "strings", "bass"), ("drums", "piano", "strings", "brass", "bass"), ("drums", "voice", "bass"),
    ("other", "other", "drums"), ("strings", "piano", "brass"), ("guitar", "piano", "drums", "voice"),
)  # fmt: skip
_OTHER_PROGRAMS = (*range(8, 15), *range(16, 24), 46, 46, 47, *range(50, 55), *range(62, 112), *(*range(64, 74),) * 3)
_BASS_PROGRAMS = tuple(range(32, 40))
#: How much oftener an instrument is drawn than others of its family: as in music, not as in the library.
_WEIGHTS = {
    "trumpet": 5.0, "trumpet-section": 2.0, "trumpet-muted": 2.0, "trombone": 2.0, "tuba": 1.5, "french-horn": 2.0,
    "violin": 6.0, "viola": 2.5, "cello": 2.0, "violin-section": 2.0, "string-section": 2.0, "double-bass-pizz": 2.0,
    "guitar-electric-distorted": 2.0, "guitar-electric-overdriven": 2.0, "snare": 2.0, "saxophone": 8.0, "flute": 8.0,
    "clarinet": 8.0, "oboe": 5.0, "bassoon": 4.0, "bass-clarinet": 3.0, "cor-anglais": 3.0, "piccolo": 3.0,
    "accordion": 3.0, "organ": 3.0, "harmonica": 3.0, "choir": 3.0, "harp": 3.0, "bass-electric": 3.0,
    "bass-electric-fingered": 3.0, "vibraphone": 2.0,
}  # fmt: skip
#: Mean, deviation and limits of how much smaller an instrument is built, in semitones. The few large ones of a family
#: become many small ones; a guitar stays above a bass guitar and below a ukulele.
_SIZES = {
    "brass": (2.0, 4.0, -4.0, 10.0), "strings": (3.0, 4.0, -4.0, 12.0), "guitar": (0.0, 2.0, -3.0, 3.0),
    "piano": (0.0, 2.0, -3.0, 3.0), "bass": (0.0, 2.0, -3.0, 3.0), "other": (0.0, 4.0, -8.0, 8.0), "drums": (0.0, 2.0, -5.0, 5.0),
}  # fmt: skip
#: Share of recorded players that are built in another size, and of drummers that play a machine.
_RESIZED, _MACHINES = 0.4, 0.25


@dataclass(frozen=True)
class Scene:
    """Samples (n,) at 32 kHz, and targets over time (steps, families): 1 heard, 0 absent, NaN unknown."""

    samples: Array
    targets: Array
    about: str


class Studio:
    """Everything that scenes are drawn from: the library, MIDI songs, soundfonts; for training or for validation."""

    def __init__(
        self, library: Library, songs: list[Song], fonts: tuple[Path, ...], *, held_out: bool, produced: bool = True
    ) -> None:
        """Sort what there is; with `held_out`, take the sources (and the seventh of the songs) kept for validation.

        produced: through rooms, desks and codecs; otherwise sounds stay dry.
        """
        self.library, self.held_out = library, held_out
        self.songs = [song for i, song in enumerate(songs) if (i % 7 == 0) == held_out]
        self.melodic = [song for song in self.songs if not all(song.drums) and song.parts]
        self.grooves = [
            (song, part) for song in self.songs for part, drums in zip(song.parts, song.drums, strict=True) if drums
        ]
        self.rooms = Rooms(library, N_SAMPLES) if produced else None
        self.fonts = fonts
        self.noises = library.of_kind("noise", held_out=held_out)
        self.singles = self._by_family(library.of_kind("note", "hit", "strum", held_out=held_out))
        self.phrases = self._by_family(library.of_kind("phrase", held_out=held_out))

    def _by_family(self, clips: list[Clip]) -> dict[str, list[list[Clip]]]:
        """Clips by family (or "other"), then in groups of one source and instrument, so that no large set drowns the rest."""
        groups: dict[str, dict[tuple[str, str], list[Clip]]] = {}
        for clip in clips:
            family = self._label_of(clip).family or "other"
            groups.setdefault(family, {}).setdefault((clip.instrument, clip.source), []).append(clip)
        return {family: list(by_voice.values()) for family, by_voice in sorted(groups.items())}

    @staticmethod
    def _label_of(clip: Clip) -> NotesLabel:
        from .labels import label_of_notes

        return label_of_notes(clip.path.split("/")[1], clip.instrument)

    @cached_property
    def players(self) -> dict[str, list[tuple[float, Player]]]:
        """Recorded players by role: the five families, "other" and "bass", each with its weight."""
        roles: dict[str, list[tuple[float, Player]]] = {}
        kits: dict[str, list[Clip]] = {}
        for voice in self.library.voices(held_out=self.held_out):
            if voice.label.family == "drums":
                kits.setdefault(voice.source, []).extend(voice.clips)
                continue
            player = RecordedVoice(self.library, voice)
            role = "bass" if voice.instrument.startswith("bass-electric") else voice.label.family or "other"
            if player.pitched or role != "other":
                weight = _WEIGHTS.get(voice.instrument, 1.0) * min(1.0, len(voice.clips) / 12)
                roles.setdefault(role, []).append((weight, player))
        roles["drums"] = [
            (1.0, recorded_kit(self.library, clips)) for _, clips in sorted(kits.items()) if len(clips) >= 6
        ]
        return roles

    def player(self, rng: np.random.Generator, role: str) -> Player:
        """Draw who plays `role`: recorded notes more often than a soundfont."""
        recorded = self.players.get(role, [])
        if role == "drums" and not self.held_out and rng.random() < _MACHINES:
            return drum_machine(rng)
        if recorded and (not self.fonts or rng.random() < 0.6):
            weights = np.array([weight for weight, _ in recorded])
            found = recorded[rng.choice(len(recorded), p=weights / weights.sum())][1]
            return found.resized(self._size(rng, role)) if isinstance(found, RecordedVoice) else found
        font = soundfont(self.fonts[rng.integers(len(self.fonts))])
        if role == "drums":
            kits = [kit for kit in (0, 8, 16, 24, 25, 32, 40) if font.has(kit, 128)] or [0]
            return SoundfontPlayer(font, int(rng.choice(kits)), bank=128)
        programs = {
            "brass": (56, 56, 56, 57, 57, 58, 59, 60, 60, 61, 61),
            "guitar": (24, 24, 25, 25, 26, 27, 27, 28, 29, 29, 30, 30),
            "piano": (0, 0, 0, 1, 1, 2, 3, 4, 5),
            "strings": (40, 40, 40, 41, 42, 42, 43, 44, 45, 45, 48, 48, 49),
            "bass": _BASS_PROGRAMS,
        }.get(role, _OTHER_PROGRAMS)
        return SoundfontPlayer(font, int(rng.choice(programs)))

    def _size(self, rng: np.random.Generator, role: str) -> float:
        """Draw how much smaller an instrument is built, in semitones: mostly 0, and always for validation."""
        if self.held_out or rng.random() >= _RESIZED:
            return 0.0
        mean, deviation, low, high = _SIZES[role]
        return float(np.clip(rng.normal(mean, deviation), low, high))

    def draw(self, seed: int) -> Scene:
        """Return the scene of `seed`: single sounds repeated, one player, an ensemble, or what is no instrument."""
        rng = np.random.default_rng([seed, 7 if self.held_out else 3])
        kind = rng.random()
        if kind < 0.22:
            return self._singles(rng, 1)
        if kind < 0.30:
            return self._no_instrument(rng)
        if kind < 0.40:
            return self._singles(rng, 2 if rng.random() < 0.75 else 3)
        if kind < 0.68:
            role = str(rng.choice([*FAMILY_IDS, "other", "bass"], p=[0.16, 0.07, 0.14, 0.11, 0.22, 0.27, 0.03]))
            return self._ensemble(rng, [role])
        if kind < 0.88:
            return self._ensemble(rng, list(ENSEMBLES[rng.integers(len(ENSEMBLES))]))
        return self._ensemble(rng, [str(role) for role in rng.choice([*FAMILY_IDS, "other"], rng.integers(2, 5))])

    def _singles(self, rng: np.random.Generator, count: int) -> Scene:
        """Notes, hits, strums or phrases, each repeated to the full length, as `predict` repeats short recordings."""
        stems, about = [], []
        for i in range(count):
            wave, clip = self._single(rng)
            wet = stem_chain(rng, wave[:N_SAMPLES], self.rooms, instrument=clip.instrument)
            if (
                count == 1
            ):  # the room's tail is cut where the recording ends, and the mix is that of the short recording
                wet = mix_chain(rng, wet, self.rooms, self._bed(rng, wet.size))
            whole = np.resize(wet, N_SAMPLES)
            gain = db(rng.uniform(-8, 0) if i else 0.0) / (level(whole) or 1.0) if count > 1 else 1.0
            stems.append((whole * np.float32(gain), self._label_of(clip)))
            about.append(clip.path)
        samples = np.sum([wave for wave, _ in stems], axis=0)
        heard = _heard(stems, samples)
        if count > 1:
            samples = mix_chain(rng, samples, self.rooms, self._bed(rng))
        return Scene(samples, heard, f"single {' + '.join(about)}")

    def _single(self, rng: np.random.Generator) -> tuple[Array, Clip]:
        """Draw one sound, some tenths of a second to 5 s of it, with silence round it, and the clip it is from."""
        family = str(rng.choice([*FAMILY_IDS, "other"], p=[0.16, 0.15, 0.13, 0.11, 0.20, 0.25]))
        source = self.phrases if rng.random() < 0.3 and family in self.phrases else self.singles
        groups = source.get(family) or self.singles[family]
        weights = np.array([_WEIGHTS.get(group[0].instrument, 1.0) for group in groups])
        group = groups[rng.choice(len(groups), p=weights / weights.sum())]
        clip = group[rng.integers(len(group))]
        wave = self.library.samples(clip)
        if family == "drums" and not self.held_out and rng.random() < _MACHINES:
            wave = drum_machine(rng).any_hit(rng)
        elif size := self._size(rng, "bass" if clip.instrument.startswith("bass-electric") else family):
            wave = resampled(wave, size, 4 * wave.size)
        wave = wave[: int(rng.uniform(0.3, 5.0) * SAMPLE_RATE)].copy()
        wave[-min(wave.size, 800) :] *= np.linspace(1, 0, min(wave.size, 800), dtype=np.float32)
        lead = np.zeros(int(rng.uniform(0, 0.3) * SAMPLE_RATE * (rng.random() < 0.4)), dtype=np.float32)
        longest_tail = 2.5 if rng.random() < (0.4 if family == "drums" else 0.15) else 0.8
        tail = np.zeros(int(rng.uniform(0, longest_tail) * SAMPLE_RATE * (rng.random() < 0.6)), dtype=np.float32)
        return np.concatenate([lead, wave, tail]), clip

    def _no_instrument(self, rng: np.random.Generator) -> Scene:
        """Speech, places, machines, hiss or nothing at all."""
        if rng.random() < 0.12:
            samples = np.zeros(N_SAMPLES, dtype=np.float32)
            if rng.random() < 0.7:
                samples += np.float32(db(rng.uniform(-90, -50))) * rng.standard_normal(N_SAMPLES, dtype=np.float32)
            return Scene(samples, np.zeros((STEPS, len(FAMILY_IDS)), dtype=np.float32), "silence")
        clip = self.noises[rng.integers(len(self.noises))]
        samples = np.resize(self.library.samples(clip), N_SAMPLES)
        samples = mix_chain(rng, stem_chain(rng, samples, self.rooms, instrument="noise"), self.rooms, self._bed(rng))
        return Scene(samples, np.zeros((STEPS, len(FAMILY_IDS)), dtype=np.float32), f"noise {clip.path}")

    def _bed(self, rng: np.random.Generator, n: int = N_SAMPLES) -> Array:
        places = self.noises
        return np.resize(self.library.samples(places[rng.integers(len(places))]), n)

    def _ensemble(self, rng: np.random.Generator, roles: list[str]) -> Scene:
        song = self.melodic[rng.integers(len(self.melodic))] if self.melodic and rng.random() < 0.55 else None
        start = rng.uniform(0, max(0.1, song.duration - DURATION_S)) if song else 0.0
        order = rng.permutation(len(song.parts)) if song else np.zeros(0, dtype=int)
        waiting = [excerpt(song.parts[i], start, DURATION_S) for i in order if not song.drums[i]] if song else []
        waiting = [part for part in waiting if len(part) >= 3]
        played: list[Played] = []
        for role in roles:
            player = None if role == "voice" else self.player(rng, role)
            one = self._voice(rng) if player is None else self._perform(rng, player, role, waiting)
            if level(one.samples) > 0:
                played.append(one)
        return self._mix(rng, played, "+".join(roles))

    def _voice(self, rng: np.random.Generator) -> Played:
        """A human voice from the noises (where there is one), else any noise."""
        voices = [clip for clip in self.noises if "voice" in clip.path] or self.noises
        clip = voices[rng.integers(len(voices))]
        return Played(np.resize(self.library.samples(clip), N_SAMPLES), NotesLabel(), "voice")

    def _perform(self, rng: np.random.Generator, player: Player, role: str, waiting: list[Part]) -> Played:
        part = self._part(rng, player, role, waiting)
        samples = player.play(rng, part, N_SAMPLES)
        return Played(
            stem_chain(rng, samples, self.rooms, instrument=player.instrument), player.label, player.instrument
        )

    def _part(self, rng: np.random.Generator, player: Player, role: str, waiting: list[Part]) -> Part:
        if role == "drums":
            if self.grooves and rng.random() < 0.65:
                song, part = self.grooves[rng.integers(len(self.grooves))]
                return excerpt(part, rng.uniform(0, max(0.1, song.duration - DURATION_S)), DURATION_S)
            return made.hits(rng, DURATION_S)
        assert not isinstance(player, Kit)
        low, high = player.low, max(player.high, player.low + 12)
        if not player.pitched:
            return made.melody(rng, DURATION_S, 60, 61)
        if role in ("strings", "brass", "other") and rng.random() < 0.25:
            return made.long_tones(rng, DURATION_S, low, high)
        if waiting and rng.random() < 0.8:
            return into_register(waiting.pop(), low, high)
        style = rng.random()
        if role == "guitar" and style < 0.5:
            return made.strums(rng, DURATION_S, power_chords="electric" in player.instrument and rng.random() < 0.5)
        if role in ("piano", "guitar", "other") and style < 0.75:
            return made.chords(rng, DURATION_S, low, min(high, low + 48))
        if style < 0.15:
            return made.long_tones(rng, DURATION_S, low, high)
        if style > 0.9:
            return made.chords(rng, DURATION_S, low, high)
        centre = rng.uniform(low, high)
        return made.melody(rng, DURATION_S, max(low, centre - 10), min(high, centre + 10))

    def _mix(self, rng: np.random.Generator, played: list[Played], about: str) -> Scene:
        if not played:
            return Scene(np.zeros(N_SAMPLES, np.float32), np.zeros((STEPS, len(FAMILY_IDS)), np.float32), "silence")
        stems = []
        for i, one in enumerate(played):
            gain = db(rng.uniform(-16, 0) if i else rng.uniform(-8, 0)) / level(one.samples)
            stems.append((one.samples * np.float32(gain), one.label))
        whole = np.sum([wave for wave, _ in stems], axis=0)
        targets = _heard(stems, whole)
        names = ",".join(one.instrument for one in played)
        return Scene(mix_chain(rng, whole, self.rooms, self._bed(rng)), targets, f"{about}: {names}")


def _heard(stems: list[tuple[Array, NotesLabel]], whole: Array) -> Array:
    """Return targets (steps, families) from how loud each stem is against the whole, step by step.

    The reference is the whole's level in that step, held up by its level over the clip less 20 dB: in a pause nothing
    is heard, however loud the hiss would be after normalising.
    """
    power = _step_power(whole)
    reference = np.maximum(power, float(power.mean()) * 0.01) + 1e-12
    targets = np.zeros((STEPS, len(FAMILY_IDS)), dtype=np.float32)
    family_power = np.zeros_like(targets)
    for wave, label in stems:
        if label.family is not None:
            family_power[:, FAMILY_IDS.index(label.family)] += _step_power(wave)
    ratio_db = 10 * np.log10(family_power / reference[:, None] + 1e-9)
    targets[ratio_db > UNHEARD_DB] = np.nan
    targets[ratio_db > HEARD_DB] = 1.0
    for wave, label in stems:
        for family in label.unknown:
            column = targets[:, FAMILY_IDS.index(family)]
            column[(column == 0) & (_step_power(wave) > reference * 10 ** (UNHEARD_DB / 10))] = np.nan
    return targets


def _step_power(wave: Array) -> Array:
    return np.mean(np.square(wave[:N_SAMPLES].reshape(STEPS, STEP)), axis=1)
