"""Scenes: ten seconds of labelled sound, drawn from a seed. Who plays what, in which room, through which desk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import parts as made
from .labels import FAMILIES, LABELS, Sounding, label_of_notes
from .machine import drum_machine
from .notes import SAMPLE_RATE, Clip, Library
from .parts import Part, Song, excerpt, into_register
from .players import Kit, Played, RecordedVoice, SoundfontPlayer, recorded_kit, resampled, soundfont
from .production import Rooms, db, level, master, mix_chain, stem_chain
from .singer import Singer

Array = NDArray[np.float32]
Player = RecordedVoice | Kit | SoundfontPlayer | Singer

#: A step of the labels over time: 0.32 s, sixteen frames of 20 ms.
STEP = SAMPLE_RATE * 16 // 50
STEPS = 32
N_SAMPLES = STEP * STEPS
DURATION_S = N_SAMPLES / SAMPLE_RATE
#: A label is present in a step down to the first level below the mix, unknown down to the second, and absent under it.
PRESENT_DB, ABSENT_DB = -24.0, -36.0

#: What plays together, as it occurs in music: the number is how often. A role is a family of the tree.
BANDS = (
    (6, "drums bass guitar voice"), (5, "drums bass guitar guitar voice"), (4, "drums bass piano voice"),
    (4, "drums bass guitar piano voice"),
    (3, "drums bass guitar organ voice"), (2, "drums bass guitar organ"), (4, "drums bass guitar"),
    (4, "drums bass guitar guitar"),
    (3, "drums bass synthesizer voice"), (3, "drums bass synthesizer synthesizer"), (2, "drums synthesizer"),
    (2, "drums bass synthesizer guitar"),
    (4, "drums bass piano"), (3, "drums bass piano woodwinds"), (2, "drums bass piano brass"),
    (2, "drums bass guitar woodwinds"),
    (2, "drums bass guitar brass woodwinds"), (2, "drums bass brass woodwinds piano voice"),
    (2, "drums bass mallets piano"),
    (2, "drums bass voice"), (3, "drums bass"), (2, "drums voice"), (2, "bass voice"), (2, "bass guitar"),
    (2, "bass piano"),
    (3, "guitar voice"), (2, "guitar guitar voice"), (2, "guitar bass voice"), (3, "piano voice"),
    (2, "piano bass voice"),
    (2, "guitar guitar bass voice plucked"), (2, "drums bass guitar plucked voice"), (1, "plucked guitar strings bass"),
    (1, "plucked voice"),
    (2, "guitar guitar"), (2, "guitar woodwinds"), (1, "guitar strings"), (1, "guitar brass"), (1, "guitar percussion"),
    (1, "guitar percussion voice"),
    (2, "accordion guitar"), (1, "accordion strings"), (1, "accordion voice bass"), (1, "accordion drums bass"),
    (2, "drums bass guitar strings voice"), (2, "drums bass piano strings voice"), (1, "drums strings"),
    (1, "piano strings voice"),
    (4, "strings strings strings"), (3, "strings strings strings strings"), (4, "strings piano"),
    (3, "strings strings piano"), (1, "strings plucked"),
    (4, "woodwinds woodwinds woodwinds brass"), (2, "woodwinds woodwinds woodwinds"), (4, "woodwinds piano"),
    (2, "woodwinds woodwinds"),
    (2, "woodwinds strings strings"), (1, "woodwinds plucked"), (2, "woodwinds strings piano"), (2, "woodwinds organ"),
    (2, "woodwinds voice"),
    (4, "brass brass brass"), (2, "brass brass brass brass"), (3, "brass piano"), (2, "brass organ"),
    (1, "brass strings"), (1, "brass voice"), (2, "brass drums"),
    (2, "brass brass woodwinds woodwinds percussion"), (3, "brass brass woodwinds woodwinds drums"),
    (2, "brass brass brass woodwinds woodwinds"),
    (3, "strings strings woodwinds brass percussion"), (2, "strings strings brass"),
    (2, "strings strings strings woodwinds woodwinds brass brass"),
    (2, "strings brass drums"), (2, "strings woodwinds"), (2, "strings voice"), (2, "voice voice"), (2, "voice organ"),
    (1, "voice voice voice piano"),
    (1, "percussion bass brass piano"), (1, "percussion voice"), (1, "mallets percussion"), (1, "mallets piano"),
    (1, "mallets guitar"),
    (2, "synthesizer synthesizer"), (1, "synthesizer piano"), (1, "synthesizer strings"), (1, "organ drums"),
    (1, "organ guitar"), (1, "organ bass"),
)  # fmt: skip
_BAND_WEIGHTS = np.array([weight for weight, _ in BANDS], dtype=float) / sum(weight for weight, _ in BANDS)
#: Who stands in front of a mix; the others lie 3 to 16 dB below.
_FRONT = ("drums", "bass", "voice")
#: General MIDI programs of each role, some named oftener.
_PROGRAMS = {
    "brass": (56, 56, 56, 57, 57, 58, 59, 60, 60, 61, 61), "guitar": (24, 24, 25, 25, 26, 27, 27, 28, 29, 29, 30, 30),
    "piano": (0, 0, 0, 1, 1, 2, 3, 4, 5), "strings": (40, 40, 40, 41, 42, 42, 43, 44, 45, 45, 48, 48, 49),
    "bass": (32, 32, 33, 33, 33, 34, 34, 35, 36, 37, 38, 39), "voice": (52, 53),
    "woodwinds": (*range(64, 74), 64, 65, 66, 71, 73, 75),
    "organ": (16, 17, 18, 18, 19, 19, 20), "synthesizer": (*range(80, 96), 80, 81, 81, 90),
    "accordion": (21, 21, 22, 23),
    "mallets": (9, 11, 12, 13, 14), "plucked": (46, 46, 105, 104, 107, 15),
    "percussion": (47, 113, 114, 115, 116, 117, 112),
    "other": (6, 7, 8, 10, 14, 15, 50, 51, 54, 55, 62, 63, 76, 78, 79, *range(96, 104), 106, 108, 109, 111),
}  # fmt: skip
#: Roles of players alone and how often: what is mistaken for each other most is drawn most.
_ALONE = {
    "brass": 0.13, "drums": 0.06, "guitar": 0.13, "piano": 0.09, "strings": 0.16, "voice": 0.08, "bass": 0.07,
    "woodwinds": 0.12,
    "organ": 0.04, "synthesizer": 0.04, "accordion": 0.02, "mallets": 0.02, "plucked": 0.02, "percussion": 0.01,
    "other": 0.01,
}  # fmt: skip
_ROLES = (*FAMILIES, "other")
#: Who plays alone, or in sums of players who have nothing to do with each other, and how often; how many there are.
_SOLOISTS = {
    "strings": 0.24,
    "brass": 0.13,
    "guitar": 0.14,
    "piano": 0.12,
    "drums": 0.12,
    "woodwinds": 0.16,
    "bass": 0.04,
    "voice": 0.03,
    "percussion": 0.02,
}
_SOLO_COUNTS = (0.40, 0.28, 0.18, 0.14)
#: How far the others lie under the loudest of a sum.
_SOLO_DB = -12.0
_SINGLES = {
    "brass": 0.14, "drums": 0.14, "guitar": 0.12, "piano": 0.10, "strings": 0.18, "woodwinds": 0.12, "percussion": 0.06,
    "bass": 0.04,
}  # fmt: skip
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
    "brass": (2.0, 4.0, -4.0, 10.0),
    "strings": (3.0, 4.0, -4.0, 12.0),
    "guitar": (0.0, 2.0, -3.0, 3.0),
    "piano": (0.0, 2.0, -3.0, 3.0),
    "bass": (0.0, 2.0, -3.0, 3.0),
    "drums": (0.0, 2.0, -5.0, 5.0),
    "woodwinds": (0.0, 3.0, -5.0, 6.0),
}
_OTHER_SIZES = (0.0, 2.0, -4.0, 4.0)  # fmt: skip
#: Share of recorded players that are built in another size, and of drummers that play a machine.
_RESIZED, _MACHINES = 0.4, 0.25


@dataclass(frozen=True)
class Scene:
    """Samples (n,) at 32 kHz, and targets over time (steps, families): 1 present, 0 absent, NaN unknown."""

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
    def _label_of(clip: Clip) -> Sounding:
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
            role = voice.label.family or "other"
            if player.pitched or role not in ("other", "percussion"):
                weight = _WEIGHTS.get(voice.instrument, 1.0) * min(1.0, len(voice.clips) / 12)
                roles.setdefault(role, []).append((weight, player))
        roles["drums"] = [
            (1.0, recorded_kit(self.library, clips)) for _, clips in sorted(kits.items()) if len(clips) >= 6
        ]
        return roles

    def player(self, rng: np.random.Generator, role: str) -> Player | None:
        """Draw who plays `role`: recorded notes more often than a soundfont. None where nobody can."""
        recorded = self.players.get(role, [])
        if role == "voice" and rng.random() < 0.5:
            return Singer(rng)
        if role == "drums" and not self.held_out and rng.random() < _MACHINES:
            return drum_machine(rng)
        if recorded and (not self.fonts or rng.random() < (0.6 if len(recorded) > 3 else 0.4)):
            weights = np.array([weight for weight, _ in recorded])
            found = recorded[rng.choice(len(recorded), p=weights / weights.sum())][1]
            return found.resized(self._size(rng, role)) if isinstance(found, RecordedVoice) else found
        if not self.fonts:
            return None
        font = soundfont(self.fonts[rng.integers(len(self.fonts))])
        if role == "drums":
            kits = [kit for kit in (0, 8, 16, 24, 25, 32, 40) if font.has(kit, 128)] or [0]
            return SoundfontPlayer(font, int(rng.choice(kits)), bank=128)
        programs = [p for p in _PROGRAMS[role] if font.has(p, 0)] or list(_PROGRAMS[role])
        return SoundfontPlayer(font, int(rng.choice(programs)))

    def _size(self, rng: np.random.Generator, role: str) -> float:
        """Draw how much smaller an instrument is built, in semitones: mostly 0, and always for validation."""
        if self.held_out or rng.random() >= _RESIZED:
            return 0.0
        mean, deviation, low, high = _SIZES.get(role, _OTHER_SIZES)
        return float(np.clip(rng.normal(mean, deviation), low, high))

    def draw(self, seed: int) -> Scene:
        """Return the scene of `seed`: single sounds repeated, one player, an ensemble, or what is no instrument."""
        rng = np.random.default_rng([seed, 7 if self.held_out else 3])
        kind = rng.random()
        if kind < 0.15:
            return self._singles(rng, 1)
        if kind < 0.21:
            return self._no_instrument(rng)
        if kind < 0.28:
            return self._singles(rng, 2 if rng.random() < 0.75 else 3)
        if kind < 0.50:
            return self._ensemble(rng, [str(rng.choice(list(_ALONE), p=list(_ALONE.values())))])
        if kind < 0.92:
            return self._ensemble(rng, BANDS[rng.choice(len(BANDS), p=_BAND_WEIGHTS)][1].split(), band=True)
        return self._ensemble(rng, [str(role) for role in rng.choice(_ROLES, rng.integers(2, 5))])

    def draw_solos(self, seed: int) -> Scene:
        """Return one player, or a sum of two to four of different families: single sounds or phrases, hardly produced."""
        rng = np.random.default_rng([seed, 13 if self.held_out else 11])
        count = 1 + int(rng.choice(len(_SOLO_COUNTS), p=_SOLO_COUNTS))
        weights = np.array(list(_SOLOISTS.values()))
        roles = rng.choice(list(_SOLOISTS), count, replace=False, p=weights / weights.sum())
        stems = [(one.samples, one.label, one.instrument) for one in (self._soloist(rng, str(role)) for role in roles)]
        gains_db = rng.uniform(_SOLO_DB, 0.0, count) * (rng.random() < 0.6)
        gains_db[rng.integers(count)] = 0.0
        levelled = [
            (wave * np.float32(db(gain_db) / (level(wave) or 1.0)), label)
            for (wave, label, _), gain_db in zip(stems, gains_db, strict=True)
        ]
        whole = np.sum([wave for wave, _ in levelled], axis=0)
        targets = _audible_targets(levelled, whole)
        if rng.random() < 0.5:
            whole = mix_chain(rng, whole, self.rooms, self._bed(rng))
        return Scene(whole, targets, f"solos {' + '.join(instrument for *_, instrument in stems)}")

    def _soloist(self, rng: np.random.Generator, role: str) -> Played:
        """One sound repeated, or a part played, to the full length."""
        if role in self.singles and rng.random() < 0.6:
            wave, clip = self._single(rng, role)
            if rng.random() < 0.5:
                wave = stem_chain(rng, wave[:N_SAMPLES], self.rooms, instrument=clip.instrument)
            return Played(np.resize(wave, N_SAMPLES), self._label_of(clip), clip.instrument)
        if role == "voice" and rng.random() < 0.5:
            return self._recorded_voice(rng)
        player = self.player(rng, role)
        if player is None:
            return Played(np.zeros(N_SAMPLES, dtype=np.float32), Sounding(), "nobody")
        return self._perform(rng, player, role, [])

    def _singles(self, rng: np.random.Generator, count: int) -> Scene:
        """Notes, hits, strums or phrases, each repeated to the full length, as `predict` repeats short recordings."""
        stems, about = [], []
        for i in range(count):
            wave, clip = self._single(rng)
            wet = stem_chain(rng, wave[:N_SAMPLES], self.rooms, instrument=clip.instrument)
            if count == 1:  # the room's tail is cut where the recording ends; the mix is that of the short recording
                wet = mix_chain(rng, wet, self.rooms, self._bed(rng, wet.size))
            whole = np.resize(wet, N_SAMPLES)
            gain = db(rng.uniform(-8, 0) if i else 0.0) / (level(whole) or 1.0) if count > 1 else 1.0
            stems.append((whole * np.float32(gain), self._label_of(clip)))
            about.append(clip.path)
        samples = np.sum([wave for wave, _ in stems], axis=0)
        targets = _audible_targets(stems, samples)
        if count > 1:
            samples = mix_chain(rng, samples, self.rooms, self._bed(rng))
        return Scene(samples, targets, f"single {' + '.join(about)}")

    def _single(self, rng: np.random.Generator, family: str = "") -> tuple[Array, Clip]:
        """Draw one sound, some tenths of a second to 5 s of it, with silence round it, and the clip it is from."""
        if not family:
            families = [f for f in _ROLES if f in self.singles]
            weights = np.array([_SINGLES.get(f, 0.02) for f in families])
            family = str(rng.choice(families, p=weights / weights.sum()))
        source = self.phrases if rng.random() < 0.3 and family in self.phrases else self.singles
        groups = source.get(family) or self.singles[family]
        weights = np.array([_WEIGHTS.get(group[0].instrument, 1.0) for group in groups])
        group = groups[rng.choice(len(groups), p=weights / weights.sum())]
        clip = group[rng.integers(len(group))]
        wave = self.library.samples(clip)
        if family == "drums" and not self.held_out and rng.random() < _MACHINES:
            wave = drum_machine(rng).any_hit(rng)
        elif size := self._size(rng, family):
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
            return Scene(samples, np.zeros((STEPS, len(LABELS)), dtype=np.float32), "silence")
        clip = self.noises[rng.integers(len(self.noises))]
        samples = np.resize(self.library.samples(clip), N_SAMPLES)
        samples = mix_chain(rng, stem_chain(rng, samples, self.rooms, instrument="noise"), self.rooms, self._bed(rng))
        targets = np.tile(_voice_label(clip).targets, (STEPS, 1))
        return Scene(samples, targets, f"noise {clip.path}")

    def _bed(self, rng: np.random.Generator, n: int = N_SAMPLES) -> Array:
        places = self.noises
        return np.resize(self.library.samples(places[rng.integers(len(places))]), n)

    def _ensemble(self, rng: np.random.Generator, roles: list[str], *, band: bool = False) -> Scene:
        song = self.melodic[rng.integers(len(self.melodic))] if self.melodic and rng.random() < 0.55 else None
        start = rng.uniform(0, max(0.1, song.duration - DURATION_S)) if song else 0.0
        order = rng.permutation(len(song.parts)) if song else np.zeros(0, dtype=int)
        waiting = [excerpt(song.parts[i], start, DURATION_S) for i in order if not song.drums[i]] if song else []
        waiting = [part for part in waiting if len(part) >= 3]
        played: list[Played] = []
        for role in roles:
            if role == "voice" and rng.random() < 0.35:
                one = self._recorded_voice(rng)
            elif player := self.player(rng, role):
                one = self._perform(rng, player, role, waiting)
            else:
                continue
            if level(one.samples) > 0:
                played.append(one)
        return self._mix(rng, played, "+".join(roles), band=band)

    def _recorded_voice(self, rng: np.random.Generator) -> Played:
        """A human voice from the noises (where there is one), else any noise."""
        voices = [clip for clip in self.noises if "singing" in clip.instrument] or self.noises
        clip = voices[rng.integers(len(voices))]
        wave = resampled(self.library.samples(clip), float(rng.normal(0, 2)), 8 * N_SAMPLES)
        return Played(np.resize(wave, N_SAMPLES), _voice_label(clip), "singing-voice")

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
        if role in ("strings", "brass", "woodwinds", "organ", "synthesizer", "voice", "other") and rng.random() < 0.25:
            return made.long_tones(rng, DURATION_S, low, high)
        if waiting and rng.random() < 0.8:
            return into_register(waiting.pop(), low, high)
        style = rng.random()
        if role == "guitar" and style < 0.5:
            return made.strums(rng, DURATION_S, power_chords="electric" in player.instrument and rng.random() < 0.5)
        if role in ("piano", "guitar", "plucked", "organ", "synthesizer", "accordion", "other") and style < 0.75:
            return made.chords(rng, DURATION_S, low, min(high, low + 48))
        if style < 0.15:
            return made.long_tones(rng, DURATION_S, low, high)
        if style > 0.9:
            return made.chords(rng, DURATION_S, low, high)
        centre = rng.uniform(low, high)
        return made.melody(rng, DURATION_S, max(low, centre - 10), min(high, centre + 10))

    def _mix(self, rng: np.random.Generator, played: list[Played], about: str, *, band: bool = False) -> Scene:
        if not played:
            return Scene(np.zeros(N_SAMPLES, np.float32), np.zeros((STEPS, len(LABELS)), np.float32), "silence")
        stems = []
        for i, one in enumerate(played):
            if band:
                front = one.label.family in _FRONT or i == 0
                gain_db = rng.normal(-1, 2.5) if front else rng.uniform(-16, -1)
            else:
                gain_db = rng.uniform(-16, 0) if i else rng.uniform(-8, 0)
            wave = one.samples * np.float32(db(gain_db) / level(one.samples))
            if band and i and rng.random() < 0.3:
                wave = wave * _rest(rng)
            stems.append((wave, one.label))
        whole = np.sum([wave for wave, _ in stems], axis=0)
        targets = _audible_targets(stems, whole)
        names = ",".join(one.instrument for one in played)
        if band and self.rooms is not None and rng.random() < 0.6:
            whole = master(rng, whole)
        return Scene(mix_chain(rng, whole, self.rooms, self._bed(rng)), targets, f"{about}: {names}")


def _audible_targets(stems: list[tuple[Array, Sounding]], whole: Array) -> Array:
    """Return targets (steps, families) from the level of each stem against that of the mix, step by step.

    The reference is the mix's level in that step, but no less than 20 dB under its level over the clip: in a pause nothing is
    present, however loud the hiss would be after normalising.
    """
    power = _step_power(whole)
    reference = np.maximum(power, float(power.mean()) * 0.01) + 1e-12
    present, unsure = np.zeros((2, STEPS, len(LABELS)), dtype=np.float32)
    for wave, label in stems:
        power_of, of = _step_power(wave)[:, None], label.targets
        present += power_of * (of == 1)
        unsure += power_of * np.isnan(of)
    targets = np.zeros((STEPS, len(LABELS)), dtype=np.float32)
    least, enough = (reference[:, None] * 10 ** (limit / 10) for limit in (ABSENT_DB, PRESENT_DB))
    targets[(present > least) | (unsure > least)] = np.nan
    targets[present > enough] = 1.0
    return targets


def _voice_label(clip: Clip) -> Sounding:
    """Return what a noise says of voice: singing is, what may be singing or speech says nothing, the rest is none."""
    if clip.instrument == "singing-voice":
        return Sounding(("voice",))
    return Sounding(unknown=("voice",) if "voice" in clip.instrument else ())


def _rest(rng: np.random.Generator) -> Array:
    """Return an envelope (n,) in which a member rests for a part of the scene."""
    envelope = np.ones(N_SAMPLES, dtype=np.float32)
    first, last = np.sort(rng.uniform(-0.3, 1.3, 2))
    a, b = (int(np.clip(x, 0, 1) * N_SAMPLES) for x in (first, last))
    envelope[a:b] = 0
    fade = np.ones(1600, dtype=np.float32) / 1600
    return np.convolve(envelope, fade, mode="same").astype(np.float32) if b > a else envelope


def _step_power(wave: Array) -> Array:
    return np.asarray(np.mean(np.square(wave[:N_SAMPLES].reshape(STEPS, STEP)), axis=1))
