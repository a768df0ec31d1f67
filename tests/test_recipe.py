"""The recipe: labels that hold, physics that holds, the same scene for the same seed, and soft labels for music."""

from __future__ import annotations

import csv
import io
import subprocess
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import tone
from recipe import background, between, decide, music, parts, production, soft_labels, songs, warmstart
from recipe import material as store
from recipe.jobs import render_scenes
from recipe.labels import LABELS, TREE, Sounding, label_of_notes, label_of_program
from recipe.machine import drum_machine
from recipe.material import clip_targets
from recipe.notes import Library, Voice, pack
from recipe.parts import Song, excerpt, into_register
from recipe.players import RecordedVoice, Soundfont
from recipe.scenes import N_SAMPLES, STEPS, Studio, _audible_targets
from recipe.singer import Singer
from recipe.train import SETTINGS
from recipe.train import train as train_on_pools
from whoplays.errors import RenderError
from whoplays.model import folder as model_folder
from whoplays.model.folder import Calibration
from whoplays.model.pooling import Pooling
from whoplays.training.settings import DefaultSettings

RATE = 32000
NAN = float("nan")


def burst(rng: np.random.Generator, seconds: float) -> np.ndarray:
    n = int(seconds * RATE)
    return (rng.normal(0, 0.2, n) * np.exp(-6 * np.arange(n) / n)).astype(np.float32)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A folder of training material in small: two notes for each family, two kits, noises, impulse responses."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("material")
    rows = []

    def add(path: str, kind: str, instrument: str, source: str, samples: np.ndarray, pitch: str = "") -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / path, samples, RATE)
        rows.append([path, kind, instrument, "", pitch, source])

    for folder, instrument in (
        ("brass", "trumpet"),
        ("guitar", "guitar-electric"),
        ("guitar", "bass-electric"),
        ("piano", "piano-acoustic"),
        ("strings", "violin"),
        ("other", "flute"),
        ("other", "banjo"),
    ):
        for source in ("studio", "generaluser"):
            for midi in (60, 67):
                hz = 440 * 2 ** ((midi - 69) / 12)
                path = f"notes/{folder}/{instrument}/{source}-{midi}.flac"
                add(path, "note", instrument, f"{source}-{instrument}", tone(hz, 2.0, RATE), str(midi))
    for source in ("studio-kit", "tictacshutup-prac-kit"):
        for piece in ("kick", "snare", "hihat-closed", "hihat-open", "crash", "tom"):
            add(f"notes/drums/{piece}/{source}.flac", "hit", piece, source, burst(rng, 0.3))
    for i in range(24):
        add(f"noise/places/n{i}.flac", "noise", "noise", f"noise-{i}", burst(rng, 1.0))
    for kind in ("room", "plate", "spring", "cabinet"):
        add(f"ir/{kind}/one.flac", "ir", kind, "a-room", burst(rng, 0.2))
    with (root / "manifest.csv").open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["path", "kind", "instrument", "articulation", "midi_pitch", "source"])
        writer.writerows(rows)
    return pack(root, root / "packed")


def song() -> Song:
    line = np.array([[i * 0.5, 0.4, 60 + i % 7, 90] for i in range(60)], dtype=np.float32)
    beat = np.array([[i * 0.25, 0.1, (36, 42, 38, 42)[i % 4], 100] for i in range(120)], dtype=np.float32)
    return Song("a song", (line, line + np.float32([0, 0, 12, 0]), beat), (0, 40, 0), (False, False, True), 30.0)


def test_songs_are_kept_as_plain_arrays(tmp_path: Path) -> None:
    silent = Song("nothing", (), (), (), 0.0)
    songs.write(tmp_path / "songs.npz", [song(), silent])
    again, nothing = songs.read(tmp_path / "songs.npz")
    assert nothing == silent
    assert (again.name, again.programs, again.drums, again.duration) == (
        "a song",
        (0, 40, 0),
        (False, False, True),
        30.0,
    )
    assert all(np.array_equal(kept, part) for kept, part in zip(again.parts, song().parts, strict=True))
    (tmp_path / "songs.npz").write_bytes(b"\x80\x04N.")  # a pickle
    with pytest.raises(RenderError, match="cannot be read"):
        songs.read(tmp_path / "songs.npz")


@pytest.fixture(scope="module")
def studio(library: Library) -> Studio:
    return Studio(library, [song()] * 14, (), held_out=False)


def test_labels_follow_the_contract() -> None:
    assert label_of_notes("guitar", "bass-electric") == Sounding(("bass",))
    assert label_of_notes("other", "drum-machine") == Sounding(("drums",), unknown=("synthesizer", "percussion"))
    assert label_of_notes("other", "banjo") == Sounding(("plucked", "banjo"), unknown=("guitar",))
    assert label_of_notes("other", "timpani") == Sounding(("percussion",), unknown=("drums",))
    assert label_of_notes("other", "saxophone") == Sounding(("woodwinds", "saxophone"))
    assert label_of_notes("drums", "snare") == Sounding(("drums",), absent=("cymbals",))
    assert label_of_program(56) == Sounding(("brass", "trumpet"))
    assert label_of_program(62) == Sounding(unknown=("brass", "synthesizer"))
    assert label_of_program(33) == Sounding(("bass",)) and label_of_program(19) == Sounding(("organ",))
    assert label_of_program(6) == Sounding(unknown=("piano", "plucked"))
    assert label_of_program(45) == Sounding(("strings",))


def test_no_source_is_on_both_sides(library: Library) -> None:
    ours = {voice.source for voice in library.voices(held_out=False)}
    theirs = {voice.source for voice in library.voices(held_out=True)}
    assert ours and theirs and not ours & theirs
    noises = [library.of_kind("noise", held_out=side) for side in (False, True)]
    assert all(noises) and not {clip.path for clip in noises[0]} & {clip.path for clip in noises[1]}


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match=r"manifest\.csv is missing"):
        pack(tmp_path, tmp_path / "packed")
    with pytest.raises(RenderError, match="holds no packed notes"):
        Library(tmp_path)


@pytest.mark.parametrize("pitch", [58, 60, 64, 70])
def test_a_player_plays_the_pitch_it_is_given(library: Library, pitch: int) -> None:
    clips = tuple(c for c in library.clips if c.instrument == "flute" and c.source.startswith("studio"))
    player = RecordedVoice(library, Voice("flute", "studio-flute", Sounding(), clips))
    part = np.array([[0.1, 1.0, pitch, 127]], dtype=np.float32)
    out = player.play(np.random.default_rng(3), part, 2 * RATE)
    spectrum = np.abs(np.fft.rfft(out))
    measured = 69 + 12 * np.log2(spectrum.argmax() / 2 / 440)
    assert abs(measured - pitch) < 0.6  # an instrument may be a little out of tune
    assert not out[: RATE // 10].any()


def test_a_smaller_instrument_sounds_higher_and_so_does_its_register(library: Library) -> None:
    clips = tuple(c for c in library.clips if c.instrument == "violin" and c.source.startswith("studio"))
    voice = RecordedVoice(library, Voice("violin", "studio-violin", Sounding(("strings", "violin")), clips))
    small = voice.resized(9.0)
    assert (small.low, small.high) == (voice.low + 9, voice.high + 9)
    part = np.array([[0.0, 1.0, 72, 127]], dtype=np.float32)
    spectrum = np.abs(np.fft.rfft(small.play(np.random.default_rng(3), part, 2 * RATE)))
    assert abs(69 + 12 * np.log2(spectrum.argmax() / 2 / 440) - 72) < 0.6  # still the requested note


def test_drum_machines_differ_and_put_each_piece_where_it_belongs() -> None:
    def centre(hit: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(hit)) ** 2
        return float(np.sum(power * np.fft.rfftfreq(hit.size, 1 / RATE)) / power.sum())

    for seed in range(12):
        hits = {
            piece: np.asarray(found[0]) for piece, found in drum_machine(np.random.default_rng(seed)).pieces.items()
        }
        assert all(np.abs(hit).max() == pytest.approx(1) for hit in hits.values())
        assert centre(hits["kick"]) < centre(hits["snare"]) < centre(hits["hihat-closed"])
        assert hits["hihat-closed"].size < hits["hihat-open"].size
        assert centre(hits["hihat-open"]) > 3000
    one, same, other = (
        drum_machine(np.random.default_rng(seed)).any_hit(np.random.default_rng(1)) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one, same)
    assert one.shape != other.shape or not np.allclose(one, other)


def test_scenes_are_a_function_of_their_seed(studio: Studio) -> None:
    for seed in range(8):
        one, other = studio.draw(seed), studio.draw(seed)
        np.testing.assert_array_equal(one.samples, other.samples)
        np.testing.assert_array_equal(one.targets, other.targets)


def test_without_production_sounds_stay_as_they_were_played(library: Library) -> None:
    dry = Studio(library, [song()] * 14, (), held_out=False, produced=False)
    x = tone(440, 2.0, RATE)
    assert production.stem_chain(np.random.default_rng(0), x, dry.rooms, instrument="violin") is x
    mixed = production.mix_chain(np.random.default_rng(0), x, dry.rooms, x)
    np.testing.assert_allclose(mixed, x * (0.5 / np.abs(x).max()), rtol=1e-6)
    scenes = [dry.draw(seed) for seed in range(12)]
    assert all(np.isfinite(s.samples).all() and np.abs(s.samples).max() < 1.5 for s in scenes)
    assert any((s.targets == 1).any() for s in scenes)


def test_scenes_are_sound_and_cover_everything(studio: Studio) -> None:
    present, abouts = np.zeros(len(LABELS)), set()
    for seed in range(40):
        scene = studio.draw(seed)
        assert scene.samples.shape == (N_SAMPLES,) and scene.targets.shape == (STEPS, len(LABELS))
        assert np.isfinite(scene.samples).all() and np.abs(scene.samples).max() <= 1.5
        present += np.nanmax(scene.targets, axis=0, initial=0) == 1
        abouts.add(scene.about.split()[0])
    assert (present[:5] >= 3).all() and present[LABELS.index("voice")] >= 1
    assert {"single", "noise"} <= abouts


def test_targets_depend_on_the_level_within_the_mix() -> None:
    loud = np.ones(N_SAMPLES, dtype=np.float32)
    loud[N_SAMPLES // 2 :] = 0
    levels = {0.0: 1.0, -20.0: 1.0, -32.0: NAN, -60.0: 0.0}
    for level_db, expected in levels.items():
        quiet = loud * np.float32(10 ** (level_db / 20))
        stems = [
            (loud, Sounding(("drums",), absent=("cymbals",))),
            (quiet, Sounding(("piano", "acoustic-piano"))),
            (loud, Sounding(("voice",), unknown=("guitar",))),
        ]
        begin, end = (dict(zip(LABELS, targets, strict=True)) for targets in _audible_targets(stems, loud)[[0, -1]])
        assert begin["drums"] == begin["voice"] == 1 and begin["cymbals"] == begin["strings"] == begin["violin"] == 0
        np.testing.assert_equal([begin["guitar"], begin["piano"], begin["acoustic-piano"]], [NAN, expected, expected])
        # below a family that may sound the instruments are unknown; beside one that is named they are absent
        np.testing.assert_equal([begin["acoustic-guitar"], begin["electric-piano"]], [NAN, 0])
        assert not any(end.values())


def test_an_excerpt_starts_anew_and_a_register_is_kept() -> None:
    part = excerpt(song().parts[0], 10.0, 5.0)
    assert part[:, 0].min() >= 0 and part[:, 0].max() < 5 and len(part) == 10
    moved = into_register(part, 28, 55)
    assert moved[:, 2].min() >= 28 and moved[:, 2].max() <= 55
    assert {int(p) % 12 for p in moved[:, 2]} == {int(p) % 12 for p in part[:, 2]}


@pytest.mark.parametrize("make", [parts.melody, parts.chords, parts.long_tones])
def test_made_up_parts_stay_in_register(make) -> None:
    for seed in range(20):
        part = make(np.random.default_rng(seed), 10.0, 48, 72)
        assert part.shape[1] == 4 and (part[:, 0] < 15).all()  # a chord that began in time may end later
        assert ((part[:, 2] >= 48) & (part[:, 2] <= 72)).all() and ((part[:, 3] >= 1) & (part[:, 3] <= 127)).all()


def test_a_midi_file_becomes_parts(tmp_path: Path) -> None:
    mido = pytest.importorskip("mido")
    track = mido.MidiTrack([mido.Message("program_change", program=40, channel=2)])
    for _ in range(10):
        track += [mido.Message("note_on", note=60, velocity=80, channel=2, time=240)]
        track += [mido.Message("note_off", note=60, channel=2, time=240)]
    midi = mido.MidiFile(ticks_per_beat=480)
    midi.tracks.append(track)
    midi.save(tmp_path / "a.mid")
    found = parts.read_song(tmp_path / "a.mid")
    assert found.programs == (40,) and found.drums == (False,)
    np.testing.assert_allclose(found.parts[0][0], [0.25, 0.25, 60, 80])  # 120 beats a minute
    (tmp_path / "b.mid").write_bytes(b"no midi")
    with pytest.raises(RenderError, match="cannot be read as MIDI"):
        parts.read_song(tmp_path / "b.mid")


def test_a_band_limit_removes_what_lies_outside() -> None:
    size = RATE
    gains = production.band_limit(size, 300, 3000)
    for hz, kept in ((50, False), (1000, True), (8000, False)):
        out = production.through(tone(hz, 1.0, RATE), gains, size=size)
        ratio_db = 20 * np.log10(out[1000:-1000].std() / tone(hz, 1.0, RATE).std())
        assert (ratio_db > -1) == kept and (kept or ratio_db < -30)


def test_compression_narrows_the_range() -> None:
    x = np.concatenate([tone(440, 2.0, RATE, 0.05), tone(440, 2.0, RATE, 0.8)])
    ranges = []
    for y in (x, *(production.compress(np.random.default_rng(seed), x) for seed in range(8))):
        ranges.append(20 * np.log10(y[3 * RATE :].std() / y[RATE : 2 * RATE].std()))
    assert max(ranges[1:]) < ranges[0] + 0.1 and min(ranges[1:]) < ranges[0] - 3


def test_a_codec_keeps_length_and_most_of_the_sound() -> None:
    x = tone(440, 1.0, RATE)
    for seed in range(6):
        out = production.codec(np.random.default_rng(seed), x)
        assert out.shape == x.shape
        assert 0.7 < out.std() / x.std() < 1.3


def test_the_level_is_that_of_the_loud_parts() -> None:
    x = np.concatenate([tone(440, 1.0, RATE, 0.5), np.zeros(2 * RATE, dtype=np.float32)])
    assert production.level(x) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)
    assert production.level(np.zeros(RATE, dtype=np.float32)) == 0


def rows_of(n: int, labels: tuple[str, ...] = LABELS, weight: float = 1.0) -> store.Rows:
    half = np.float16
    targets = np.zeros((n, 32, len(labels)), half)
    return store.Rows(
        np.ones((n, 512, 64), half), targets, np.full(n, weight, np.float32), np.array(["row"] * n), labels
    )


def test_shards_come_back_as_they_were_written(tmp_path: Path) -> None:
    store.write_shard(tmp_path, "b", rows_of(3, weight=2.0))
    store.write_shard(tmp_path, "a", rows_of(3))
    assert [path.stem for path in store.shards(tmp_path)] == ["a", "b"]
    rows = store.read(store.shards(tmp_path))
    assert len(rows) == 6 and rows.labels == LABELS and rows.weight.tolist() == [1, 1, 1, 2, 2, 2]
    with pytest.raises(RenderError, match="no shard"):
        store.read([])
    np.savez(tmp_path / "c.npz", features=rows.features)
    with pytest.raises(RenderError, match=r"c\.npz: has no about, labels, targets, weight"):
        store.read(store.shards(tmp_path))


def test_clip_targets_are_present_if_any_step_is() -> None:
    steps = np.array([[[0, 1, NAN, NAN], [0, 0, 0, 1]]], dtype=np.float32)
    np.testing.assert_equal(clip_targets(steps), [[0, 1, NAN, 1]])


def test_a_soft_clip_target_is_that_of_the_likeliest_second() -> None:
    steps = np.full((1, 16, 3), 0.1, dtype=np.float32)
    steps[0, 3:7, 0] = 0.9
    steps[0, 3, 1] = 0.9  # one guess alone
    steps[0, 2:, 2] = NAN
    np.testing.assert_allclose(clip_targets(steps), [[0.9, 0.3, 0.1]], rtol=1e-6)
    assert np.isnan(clip_targets(np.full((1, 16, 1), NAN, dtype=np.float32))).all()


# -- the singer --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pitch", [48, 57, 64])
def test_a_singer_sings_the_pitch_through_the_formants_of_a_voice(pitch: int) -> None:
    part = np.array([[0.0, 2.0, pitch, 127]], dtype=np.float32)
    for seed in range(6):
        out = Singer(np.random.default_rng(seed)).play(np.random.default_rng(seed), part, 2 * RATE)
        power = np.abs(np.fft.rfft(out * np.hanning(out.size))) ** 2
        hz = np.fft.rfftfreq(out.size, 1 / RATE)
        f0 = 440 * 2 ** ((pitch - 69) / 12)
        offset = np.abs(hz / f0 - np.round(hz / f0))
        low = (hz > f0 / 2) & (hz < 6 * f0)
        harmonic, between = power[low & (offset < 0.12)].sum(), power[low & (offset > 0.38)].sum()
        assert harmonic > 5 * between  # vibrato, glides and breath leave the rest
        assert power[(hz > 200) & (hz < 4000)].sum() > 3 * power[hz > 4000].sum()


def test_of_notes_struck_together_the_highest_is_sung() -> None:
    part = np.array([[0, 1, 50, 100], [0, 1, 62, 100], [1, 1, 60, 100]], dtype=np.float32)
    assert [row[2] for row in Singer._line(part)] == [62, 60]


# -- music and its soft labels -----------------------------------------------------------------------------------------


def encoded(wave: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, wave, RATE, format="WAV")
    return file.getvalue()


def test_music_is_cut_into_clips_without_silence() -> None:
    sound = tone(440, 25.0, RATE)
    sound[N_SAMPLES:] = 0
    clips = music.clips_of(encoded(sound), 300)
    assert clips.shape == (1, N_SAMPLES) and clips.dtype == np.int16
    repeated = music.clips_of(encoded(tone(440, 4.0, RATE)), 300)
    np.testing.assert_array_equal(repeated[0, :RATE], repeated[0, 4 * RATE : 5 * RATE])
    assert len(music.clips_of(encoded(tone(440, 2.0, RATE)), 300)) == 0
    assert len(music.clips_of(encoded(tone(440, 50.0, RATE)), 30)) == 2  # capped


def test_a_track_comes_from_its_pin_or_the_newest_commit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clone = tmp_path / "clones" / "band" / "songs"
    clone.mkdir(parents=True)
    run = partial(subprocess.run, cwd=clone, check=True, capture_output=True)
    run(["git", "init", "-q"])
    (clone / "a.wav").write_bytes(b"sound")
    run(["git", "add", "."])
    run(["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "a"])
    (clone / ".git").rename(tmp_path / "bare")
    (clone / "a.wav").unlink()
    clone.rmdir()
    (tmp_path / "bare").rename(clone)
    table = tmp_path / "music.csv"
    table.write_text(
        "source,pin,path,seconds,licence,artist,title,genre_guess\n"
        f"github:band/songs,{'0' * 40},a.wav,3,CC BY 4.0,A Band,A Song,[recorded] rock\n"
        "github:other/songs,HEAD,a.wav,3,CC0,,Another,[seq/mixed] game\n"
    )
    first, second = music.read_tracks(table)
    assert (first.kind, second.kind) == ("recorded", "sequenced")
    assert music.content_of(first, tmp_path, tmp_path / "clones") == b"sound"
    assert "newest commit" in capsys.readouterr().out
    with pytest.raises(RenderError, match="not among the clones"):
        music.content_of(second, tmp_path, tmp_path / "clones")
    assert music.credits([first, second]) == "- CC BY 4.0: github:band/songs (A Band)\n- CC0: github:other/songs\n"


def test_music_in_archives_of_games_is_found(tmp_path: Path) -> None:
    game = tmp_path / "packages" / "game"
    game.mkdir(parents=True)
    sound = encoded(np.random.default_rng(0).normal(0, 0.1, 12 * RATE).astype(np.float32))
    with zipfile.ZipFile(game / "data.pk3", "w") as archive:
        archive.writestr("music/theme.wav", sound)
        archive.writestr("effects/bang.wav", sound)
    (game / "short.wav").write_bytes(sound[:1000])
    ((track, read),) = music.game_music(tmp_path / "packages", [])
    assert track.path == "data.pk3!music/theme.wav" and track.kind == "game" and read() == sound


def logits_of(**values: float) -> np.ndarray:
    """Logits (1, 32, labels) of -6 but for those named."""
    found = np.full((1, STEPS, len(LABELS)), -6.0, dtype=np.float32)
    for name, value in values.items():
        found[..., LABELS.index(name.replace("_", "-"))] = value
    return found


def plain_ensemble(*names: str) -> soft_labels.WeightedEnsemble:
    """Teachers whose logits count as they are."""
    zeros, ones = np.zeros((len(names), len(LABELS))), np.ones((len(names), len(LABELS)))
    return soft_labels.WeightedEnsemble(LABELS, names, zeros, ones, ones[0], zeros[0])


def test_a_teacher_that_knows_nothing_of_brass_does_not_count_for_it() -> None:
    ensemble = plain_ensemble("mn04", "mtt_musicnn")
    summed = ensemble.sum({"mn04": logits_of(brass=2.0, piano=4.0), "mtt_musicnn": logits_of(brass=-8.0, piano=0.0)})
    assert summed[0, 0, LABELS.index("brass")] == pytest.approx(2.0)
    assert summed[0, 0, LABELS.index("piano")] == pytest.approx(4 / 1.3)
    fewer = ensemble.sum({"mn04": logits_of(piano=4.0)})
    assert fewer[0, 0, LABELS.index("piano")] == pytest.approx(4.0)  # the level stays that of a mean


def test_labels_that_teachers_cannot_judge_stay_unknown() -> None:
    ensemble, logits = plain_ensemble("mn04"), {"mn04": logits_of(trumpet=1.0, banjo=-2.0, harp=2.0, piano=0.0)}
    recorded, sequenced = (
        dict(zip(LABELS, soft_labels.soft_targets(logits, ensemble, sequenced=kind)[0, 5], strict=True))
        for kind in (False, True)
    )
    assert recorded["trumpet"] == recorded["brass"] == pytest.approx(1 / (1 + np.exp(-1)), rel=1e-3)
    assert np.isnan(sequenced["trumpet"]) and np.isnan(sequenced["brass"]) and sequenced["tuba"] < 0.01
    assert np.isnan(recorded["banjo"])  # the unsure middle of a rare label
    assert recorded["plucked"] >= recorded["harp"] > 0.9
    assert recorded["piano"] == pytest.approx(0.5)


def test_a_guitar_alone_is_labelled_by_its_level() -> None:
    wave = tone(220, N_SAMPLES / RATE, RATE, 0.5)
    wave[N_SAMPLES // 2 :] *= 0.02
    wave[-N_SAMPLES // 4 :] = 0
    targets = soft_labels.guitar_targets(wave[None])[0]
    guitar = targets[:, LABELS.index("guitar")]
    np.testing.assert_equal(guitar[[2, 20, 30]], [1, NAN, 0])
    np.testing.assert_equal(guitar, targets[:, LABELS.index("electric-guitar")])
    assert not targets[:, LABELS.index("piano")].any()


def track_of(present: str, alone: str) -> music.Track:
    return music.Track("h0000", "github:a/b", "0", "a.wav", "CC0", "", "a", "known", present, alone)


def test_who_is_known_to_play_alone_is_labelled_by_the_level_and_others_are_absent() -> None:
    wave = tone(220, N_SAMPLES / RATE, RATE, 0.5)
    wave[-N_SAMPLES // 4 :] = 0
    soft = np.full((1, STEPS, len(LABELS)), 0.7, dtype=np.float32)
    targets = soft_labels.known_targets(track_of("guitar", "1"), wave[None], soft)[0]
    by_label = dict(zip(LABELS, targets.T, strict=True))
    np.testing.assert_equal(by_label["guitar"][[2, 30]], [1, 0])
    assert np.isnan(by_label["acoustic-guitar"]).all(), "which guitar it is nobody has said"
    assert not by_label["piano"].any() and not by_label["violin"].any()


def test_who_is_known_to_play_beside_others_is_surer_and_of_the_others_teachers_speak() -> None:
    soft = np.full((1, STEPS, len(LABELS)), 0.6, dtype=np.float32)
    soft[:, 3, LABELS.index("violin")] = 0.2
    targets = soft_labels.known_targets(track_of("violin", ""), np.zeros((1, N_SAMPLES), np.float32), soft)[0]
    by_label = dict(zip(LABELS, targets.T, strict=True))
    assert np.isnan(by_label["violin"][3]) and by_label["violin"][4] == pytest.approx(soft_labels.SURE)
    assert by_label["strings"][4] == pytest.approx(soft_labels.SURE) and by_label["piano"][4] == pytest.approx(0.6)


def test_listed_recordings_name_labels_that_exist_a_pin_and_a_licence() -> None:
    tracks = music.known_tracks()
    assert len({(track.source, track.path) for track in tracks}) == len(tracks)
    for track in tracks:
        assert set(filter(None, track.present.split(";"))) <= set(LABELS), track
        assert track.present or not track.alone, f"{track.path}: nobody plays"
        assert track.pin and track.licence and "NC" not in track.licence, track


def test_scenes_without_others_are_background() -> None:
    targets = np.zeros((3, STEPS, len(LABELS)), dtype=np.float16)
    targets[0, :, LABELS.index("bass")] = targets[1, 3, LABELS.index("voice")] = 1
    targets[2, 3, LABELS.index("organ")] = NAN
    assert background.is_free(targets).tolist() == [True, False, False]


def test_notes_and_teachers_become_a_model(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way in small, with made-up teachers."""
    for held_out in (False, True):
        dry = Studio(library, [song()] * 14, (), held_out=held_out, produced=False)
        render_scenes(dry, tmp_path / ("validation" if held_out else "training"), range(2), rows=3)
    rng = np.random.default_rng(0)
    known = rng.random((60, len(LABELS))) < 0.4
    arrays = {f"logits/{name}": (known * 4 - 2 + rng.normal(size=known.shape)) for name in ("mn04", "yamnet")}
    np.savez(tmp_path / soft_labels.KNOWN, targets=known.astype(np.float32), **arrays)
    tracks = [music.Track("t0000", "deb:a", "1", "a.ogg", "CC0", "A", "T", "recorded")]
    for folder in ("clips", "teachers"):
        (tmp_path / folder).mkdir()
    music.write_tracks(tmp_path / "clips" / music.TRACKS, tracks)
    logits = {f"logits/{name}": np.concatenate([logits_of(voice=6.0)] * 2) for name in ("mn04", "yamnet")}
    np.savez(tmp_path / "teachers" / "t0000.npz", features=np.full((2, 512, 64), -5, np.float16), **logits)
    assert soft_labels.label(tmp_path, soft_labels.fit(tmp_path)) == 2
    rows = store.read(store.shards(tmp_path / "music"))
    assert (rows.targets[..., LABELS.index("voice")] > 0.8).all() and (rows.weight == 4).all()
    settings = SETTINGS | {"filters": (4, 4, 4, 4), "blocks": (0, 0, 0, 0), "hidden": 8, "batch_size": 8}
    short = {"epochs": 1, "steps_per_epoch": 2}
    done = train_on_pools(store.open_pools(tmp_path), tmp_path / "m", DefaultSettings(**settings, **short))
    config = model_folder.read(done.folder).config
    assert tuple(label.id for label in config.labels) == LABELS and config.id == f"default@{SETTINGS['version']}"
    wider = settings | {"filters": (4, 6, 4, 8), "hidden": 12}
    begun = warmstart.read(done.folder)
    train_on_pools(store.open_pools(tmp_path), tmp_path / "w", DefaultSettings(**wider, **short), start=begun)
    weights = []
    for share in ("0", "0.5", "1"):
        monkeypatch.setattr(
            "sys.argv", ["between", *(str(tmp_path / name) for name in ("m", "w", share)), "--share", share]
        )
        between.main()
        weights.append(warmstart.read(tmp_path / share))
    np.testing.assert_allclose(weights[1].dense, (weights[0].dense + weights[2].dense) / 2, rtol=1e-3, atol=1e-5)
    features = rows.features[:2].astype(np.float32)
    outputs = [model_folder.Network(model_folder.read(tmp_path / name)).run(features) for name in ("w", "1")]
    np.testing.assert_allclose(outputs[1]["frame_logits"], outputs[0]["frame_logits"], atol=5e-3)


@pytest.mark.parametrize("content", [None, b"no soundfont"])
def test_what_is_no_soundfont_is_refused(tmp_path, content):
    pytest.importorskip("fluidsynth")
    if content:
        (tmp_path / "piano.sf2").write_bytes(content)
    with pytest.raises(RenderError, match=r"piano\.sf2: (is no soundfont|not found)"):
        Soundfont(tmp_path / "piano.sf2")


def test_labels_that_are_not_decided_anew_keep_their_scores() -> None:
    old = model_folder.read().config
    outputs = (*old.tree.ids, *old.context)
    added = next(label for label in old.context if label in LABELS)
    order = [*range(3), outputs.index(added), *(i for i in range(3, len(outputs)) if outputs[i] != added)]
    labels = [outputs[i] for i in order[:5]]
    new = replace(
        old,
        labels=TREE.select(labels).labels,
        context=tuple(label for label in outputs if label not in labels),
        pooling=Pooling(old.pooling.share, (1.0,) * 5, (0.0,) * 5, old.pooling.span_s, ((0.0,) * len(outputs),) * 5),
        thresholds=(0.5,) * 5,
        maybe=(0.25,) * 5,
        calibration=Calibration.identity(5),
        frame_calibration=Calibration.identity(5),
    )
    kept = [label for label in labels if label != added]
    given = decide.with_rows_of(old, new, kept)
    logits = np.random.default_rng(0).normal(-2, 2, (40, len(outputs)))
    steps = np.full(40, 0.32)
    moved = logits[:, [outputs.index(label) for label in (*new.tree.ids, *new.context)]]
    before = dict(zip(old.tree.ids, old.pooling.scores(logits, None, steps, activation="sigmoid"), strict=True))
    after = dict(zip(new.tree.ids, given.pooling.scores(moved, None, steps, activation="sigmoid"), strict=True))
    assert {label: after[label] for label in kept} == pytest.approx({label: before[label] for label in kept})
    limits = dict(zip(given.tree.ids, given.thresholds, strict=True))
    assert limits[added] == 0.5 and limits["brass"] == old.thresholds[0]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("scenes data material", "packed notes"),
        ("music data material", "music.csv is missing"),
        ("label data material peers --classes file", "peers/mn04 holds 0"),
        ("train material model", "material holds no scenes; draw some first: python -m recipe scenes DATA material"),
        ("integers model out material", "model: no such model folder"),
        ("decide model data material", "model: no such model folder"),
    ],
)
def test_a_step_says_in_one_line_what_is_missing(
    words: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recipe.__main__ import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["recipe", *words.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    message = str(ended.value.code)
    assert message.startswith(f"python -m recipe {words.split()[0]}: ") and text in message and "\n" not in message
    assert not list(tmp_path.iterdir())  # nothing is begun


def test_the_readme_lists_every_step() -> None:
    from recipe.__main__ import MODULES

    page = (Path(__file__).parents[1] / "recipe" / "README.md").read_text(encoding="utf-8")
    assert not [step for step in MODULES if f"python -m recipe {step}" not in page]


def test_bands_with_voice_or_bass_are_found_by_the_description_of_scenes() -> None:
    from recipe.ablation import with_voice_or_bass

    about = [
        "drums+bass+piano: kit,bass,piano",
        "voice: singer",
        "piano+guitar: a,b",
        "voice+organ: c,d",
        "solos bass + kit",
    ]
    assert with_voice_or_bass(np.array(about)).tolist() == [True, False, False, True, False]


@pytest.mark.slow
def test_an_ablation_fits_a_head_and_evaluates_it_on_held_out_recordings(tmp_path: Path) -> None:
    from recipe import ablation
    from recipe.examples import Example
    from whoplays.inference.scoring import NetworkOutputs

    rng = np.random.default_rng(0)
    directions = rng.normal(size=(len(LABELS), 24)).astype(np.float32)

    def hidden_of(truth: np.ndarray) -> np.ndarray:
        return (truth @ directions + rng.normal(0, 0.5, (*truth.shape[:-1], 24))).astype(np.float16)

    truth = (rng.random((40, 32, len(LABELS))) < 0.2).astype(np.float16)
    part = ablation.Part(hidden_of(truth), truth, np.ones(40, np.float32))
    head = ablation.Head.fit(*part.sample(rng, 1000))
    found = []
    for i, kind in enumerate(("songs", "10 s", "clips", "mixes", "duets", "silent", "stems") * 12):
        plays = (rng.random(len(LABELS)) < (0 if kind == "silent" else 0.3)).astype(np.float32)
        hidden = hidden_of(np.tile(plays, (32, 1)))
        found.append(Example(kind, NetworkOutputs(hidden, None, np.full(32, 0.32)), plays, (f"recording {i}",)))
    ablation._keep(tmp_path / "hidden" / "examples.npz", found)
    kept = ablation._kept(tmp_path / "hidden" / "examples.npz")
    assert [(one.kind, one.sources) for one in kept] == [(one.kind, one.sources) for one in found]
    figures = ablation.evaluate(head.apply(kept), families=False)
    assert figures["mean average precision"] > 0.9 and figures["clips exactly right"] > 0.5
    unknown = ablation.Head.fit(
        *ablation._part(
            ablation.ROWS[4],
            [store.Rows(part.hidden, part.targets, part.weight, np.array([""] * 40), LABELS)],
            [np.ones(40, bool)],
        ).sample(rng, 1000)
    )
    assert not unknown.weights[:, ablation.OTHERS].any() and unknown.weights[:, ablation.FAMILIES].any()
    assert "average precision: voice" not in ablation.evaluate(unknown.apply(kept), families=True)


def test_the_page_on_the_model_shows_the_ablation_that_was_measured() -> None:
    import json

    from bench import EXPLANATION, measure
    from recipe.ablation import page_table

    kept = json.loads((measure.FOLDER / "ablation.json").read_text())
    shown = f"<!-- measured: ablation -->\n{page_table(kept['rows'])}\n\n{kept['remarks']}\n<!-- end: ablation -->"
    assert shown in (EXPLANATION / "default-model.md").read_text(encoding="utf-8")
