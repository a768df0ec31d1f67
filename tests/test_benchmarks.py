"""Public benchmarks: small stand-ins with the layouts as they are published; figures against sklearn's."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import soundfile

import whoplays
from conftest import RATE, invoke, tone
from whoplays.cli.evaluate import BENCHMARKS as NAMES
from whoplays.errors import DatasetError, ModelError, UsageError
from whoplays.evaluation import benchmarks
from whoplays.evaluation.benchmarks import layouts
from whoplays.inference.recogniser import Recogniser
from whoplays.results.schemas import read
from whoplays.taxonomy.catalogue import catalogue

#: a frequency in the band by which the tiny model detects each family
BANDS = {"brass": 300, "drums": 1200, "guitar": 2600, "piano": 4600, "strings": 8000}


def sound(path: Path, *families: str, seconds: float = 2.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mixed = sum((tone(BANDS[one], seconds, level=0.2) for one in families), tone(50, seconds, level=0.001))
    soundfile.write(path, mixed, RATE)


def openmic(root: Path) -> None:
    rows = [("000046_3840", "piano", 1.0, ["piano"]), ("000135_483840", "piano", 0.2, ["guitar"])]
    rows += [("000135_483840", "guitar", 0.9, ["guitar"]), ("000178_3840", "guitar", 0.0, ["drums"])]
    rows += [("000178_3840", "drums", 0.51, ["drums"]), ("000046_3840", "drums", 0.0, ["piano"])]
    rows += [("000178_3840", "mallet_percussion", 0.9, ["drums"]), ("151000_1", "piano", 1.0, ["piano"])]
    (root / "partitions").mkdir(parents=True)
    lines = ["sample_key,instrument,relevance,num_responses"]
    for key, instrument, relevance, plays in rows:
        lines.append(f"{key},{instrument},{relevance},3")
        sound(root / "audio" / key[:3] / f"{key}.ogg", *plays)
    (root / "openmic-2018-aggregated-labels.csv").write_text("\n".join(lines) + "\n")
    (root / "partitions" / "split01_test.csv").write_text("000046_3840\n000135_483840\n000178_3840\n")
    (root / "partitions" / "split01_train.csv").write_text("151000_1\n")


def irmas(root: Path) -> None:
    for part, name, codes, plays in (
        (1, "(02) dont kill the whale-1", "gel \t\nvoi\t", ["guitar"]),
        (2, "some piano", "pia\n", ["piano"]),
        (3, "more piano-4", "pia\t\n", ["brass"]),
    ):
        folder = root / f"IRMAS-TestingData-Part{part}" / f"Part{part}"
        sound(folder / f"{name}.wav", *plays)
        (folder / f"{name}.txt").write_text(codes)
    sound(root / "IRMAS-TrainingData" / "pia" / "[pia][cla]1__1.wav", "piano")


def musicnet(root: Path) -> None:
    head = "start_time,end_time,instrument,note,start_beat,end_beat,note_value\n"
    for name, programs, plays in (("1759", (1,), ["piano"]), ("2106", (41, 43), ["strings"])):
        sound(root / "test_data" / f"{name}.wav", *plays, seconds=4)
        (root / "test_labels").mkdir(exist_ok=True)
        notes = "".join(f"{i * 44100},{(i + 2) * 44100},{p},60,0.0,1.0,Quarter\n" for i, p in enumerate(programs))
        (root / "test_labels" / f"{name}.csv").write_text(head + notes)
    (root / "train_data").mkdir()


def medleydb(root: Path) -> None:
    for name, instruments, plays in (
        ("LizNelson_Rainfall", ["female singer", "acoustic guitar"], ["guitar"]),
        ("Phoenix_ScotchMorris", ["violin section", "double bass", "kazoo"], ["strings"]),
    ):
        folder = root / "Audio" / name
        sound(folder / f"{name}_MIX.wav", *plays)
        stems = "".join(
            f"  S{i:02d}:\n    component: ''\n    filename: {name}_STEM_{i:02d}.wav\n    instrument: {one}\n"
            f"    raw:\n      R01:\n        filename: x.wav\n        instrument: tuba\n"
            for i, one in enumerate(instruments, 1)
        )
        text = f"album: x\nartist: y\nhas_bleed: 'no'\nmix_filename: {name}_MIX.wav\nstems:\n{stems}title: z\nversion: 1.2\n"
        (folder / f"{name}_METADATA.yaml").write_text(text)


def slakh(root: Path) -> None:
    for side, name, stems, plays in (
        (
            "test",
            "Track01876",
            [(0, "false", "true"), (128, "true", "true"), (56, "false", "false")],
            ["piano", "drums"],
        ),
        ("test", "Track01877", [(48, "false", "true"), (25, "false", "true")], ["strings", "guitar"]),
        ("train", "Track00001", [(56, "false", "true")], ["brass"]),
    ):
        folder = root / side / name
        sound(folder / "mix.flac", *plays)
        described = "".join(
            f"  S{i:02d}:\n    audio_rendered: {rendered}\n    inst_class: X\n    integrated_loudness: -20.1\n"
            f"    is_drum: {drum}\n    midi_program_name: Y\n    program_num: {program}\n"
            for i, (program, drum, rendered) in enumerate(stems)
        )
        text = f"UUID: 1a\naudio_dir: stems\nlmd_midi_dir: lmd/x.mid\nnormalized: true\nstems:\n{described}target_peak: -1.0\n"
        (folder / "metadata.yaml").write_text(text)


def audioset(root: Path) -> None:
    named = {
        "/m/042v_gx": "Acoustic guitar", "/m/0342h": "Guitar", "/m/05r5c": "Piano", "/m/02sgy": "Electric guitar"
    }  # fmt: skip
    ids = {
        key: name
        for label in catalogue().ids
        if (rule := catalogue().audioset(label))
        for key, name in rule.include.items()
    }
    ontology = [{"id": key, "name": name, "child_ids": []} for key, name in (ids | named).items()]
    root.mkdir(parents=True, exist_ok=True)
    (root / "ontology.json").write_text(json.dumps(ontology))
    (root / "eval_segments.csv").write_text(
        "# Segments csv created Sun Mar  5 10:54:25 2017\n# num_ytids=3\n# YTID, start_seconds, end_seconds, positive_labels\n"
        '-0RWZT-miFs, 420.000, 430.000, "/m/0342h"\n'
        '--4gqARaEJE, 0.000, 10.000, "/m/05r5c,/m/04rlf"\n'
        'zzzzzzzzzzz, 0.000, 10.000, "/m/0342h"\n'
    )
    sound(root / "audio" / "-0RWZT-miFs_420.000.wav", "guitar")
    sound(root / "audio" / "Y--4gqARaEJE.flac", "piano")


MAKERS: dict[str, Callable[[Path], None]] = {
    "openmic": openmic, "irmas": irmas, "musicnet": musicnet, "medleydb": medleydb, "slakh": slakh, "audioset": audioset
}  # fmt: skip


def test_there_is_a_stand_in_for_each_benchmark() -> None:
    assert list(MAKERS) == list(NAMES) == list(benchmarks.READERS)


@pytest.mark.parametrize("name", MAKERS)
def test_figures_are_those_of_sklearn(name: str, tiny_model: Path, tmp_path: Path) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    MAKERS[name](tmp_path / "set")
    recogniser = whoplays.load(tiny_model)
    suite = benchmarks.READERS[name](tmp_path / "set")
    found = benchmarks.evaluate(name, tmp_path / "set", recogniser, out=tmp_path / "out", draws=50)
    written = json.loads((tmp_path / "out" / benchmarks.RESULT).read_text())
    assert written == found and found["failed"] == 0
    jsonschema.validate(written, read("benchmark"))
    classes = [one for one, label in found["classes"].items() if label]
    assert classes and set(found["classes"].values()) - {None} <= set(BANDS)
    predictions = {clip.path: recogniser.predict(clip.path) for clip in suite.clips}
    precisions = []
    for one in classes:
        label = suite.classes[one]
        rows = [(clip.truth[one], predictions[clip.path]) for clip in suite.clips if not math.isnan(clip.truth[one])]
        truth = [row[0] for row in rows]
        named = [label in row[1].playing for row in rows]
        assert found["positives"][one] == sum(truth)
        if sum(truth):
            precisions.append(sklearn.average_precision_score(truth, [row[1].scores[label] for row in rows]))
            assert found["metrics"][f"{one}/average_precision"] == pytest.approx(precisions[-1])
            assert found["metrics"][f"{one}/f1"] == pytest.approx(sklearn.f1_score(truth, named))
    assert found["metrics"]["mean_average_precision"] == pytest.approx(np.mean(precisions))
    low, high = found["intervals"]["mean_average_precision"]
    assert 0 <= low <= high <= 1


def test_openmic_reads_the_test_side_and_keeps_unannotated_labels_unknown(tmp_path: Path) -> None:
    openmic(tmp_path)
    suite = layouts.openmic(tmp_path)
    assert [clip.path.stem for clip in suite.clips] == ["000046_3840", "000135_483840", "000178_3840"]
    known = [{k: v for k, v in clip.truth.items() if not math.isnan(v)} for clip in suite.clips]
    assert known == [
        {"piano": 1, "drums": 0}, {"piano": 0, "guitar": 1}, {"guitar": 0, "drums": 1, "mallet_percussion": 1}
    ]  # fmt: skip
    assert len(suite.classes) == 20 and set(suite.classes.values()) <= set(catalogue().ids)


def test_irmas_counts_classes_that_the_model_lacks_as_never_named(tiny_model: Path, tmp_path: Path) -> None:
    irmas(tmp_path)
    suite = layouts.irmas(tmp_path)
    assert [sorted(c for c in clip.truth if clip.truth[c]) for clip in suite.clips] == [
        ["gel", "voi"],
        ["pia"],
        ["pia"],
    ]
    found = benchmarks.evaluate("irmas", tmp_path, Recogniser(tiny_model), draws=0)
    figures = found["metrics"]
    named = [whoplays.load(tiny_model).predict(clip.path).playing for clip in suite.clips]
    right = sum("piano" in one for one in named[1:])
    predicted = sum("piano" in one for one in named)
    assert figures["f1_micro"] == pytest.approx(2 * right / (predicted + 2))
    assert figures["f1_micro_all"] == pytest.approx(2 * right / (predicted + 4))  # gel and voi are missed
    assert figures["f1_macro_all"] == pytest.approx(figures["f1_micro"] / 3)
    highest = [whoplays.load(tiny_model).predict(clip.path).scores["piano"] > 0 for clip in suite.clips]  # of one class
    assert figures["f1_micro@0.5"] == pytest.approx(2 * sum(highest[1:]) / (sum(highest) + 4))
    assert not found["intervals"]


def test_musicnet_knows_when(tiny_model: Path, tmp_path: Path) -> None:
    musicnet(tmp_path)
    one, two = layouts.musicnet(tmp_path).clips
    assert one.intervals == {"piano": [(0.0, 2.0)], "acoustic-piano": [(0.0, 2.0)]}
    assert two.truth["violin"] == two.truth["cello"] == two.truth["strings"] == 1 and two.truth["piano"] == 0
    assert two.intervals and two.intervals["strings"] == [(0.0, 2.0), (1.0, 3.0)]
    found = benchmarks.evaluate("musicnet", tmp_path, Recogniser(tiny_model), draws=0)
    assert 0 < found["metrics"]["frame_f1"] < 1


def test_inaudible_stems_do_not_count_and_uncertain_ones_are_unknown(tmp_path: Path) -> None:
    slakh(tmp_path / "s")
    one, two = layouts.slakh(tmp_path / "s").clips
    assert (one.truth["drums"], one.truth["piano"], one.truth["brass"]) == (1, 1, 0)
    assert (two.truth["strings"], two.truth["guitar"], two.truth["acoustic-guitar"]) == (1, 1, 1)
    medleydb(tmp_path / "m")
    suite = layouts.medleydb(tmp_path / "m")
    rain, scotch = suite.clips
    assert (rain.truth["voice"], rain.truth["acoustic-guitar"], rain.truth["brass"]) == (1, 1, 0)
    assert scotch.truth["violin"] == scotch.truth["strings"] == 1 and math.isnan(scotch.truth["bass"])
    assert any("kazoo" in note for note in suite.notes) and math.isnan(scotch.truth["brass"])


#: the leaves of MedleyDB's taxonomy.yaml
TAXONOMY = """erhu, violin, viola, cello, double bass, violin section, viola section, cello section, string section, dilruba,
acoustic guitar, banjo, guzheng, harp, harpsichord, liuqin, mandolin, oud, slide guitar, ukulele, zhongruan,
sitar, dulcimer, yangqin, piano, tack piano, dizi, flute, flute section, piccolo, bamboo flute, panpipes,
recorder, alto saxophone, baritone saxophone, bass clarinet, clarinet, clarinet section, tenor saxophone,
soprano saxophone, oboe, english horn, bassoon, bagpipe, trumpet, cornet, trombone, french horn, euphonium,
tuba, brass section, french horn section, trombone section, horn section, trumpet section, harmonica,
concertina, accordion, bandoneon, harmonium, pipe organ, melodica, male singer, female singer, male speaker,
female speaker, male rapper, female rapper, beatboxing, vocalists, choir, crowd, male screamer, female screamer,
triangle, sleigh bells, cowbell, cabasa, high hat, gong, guiro, gu, cymbal, chimes, castanet, claps, rattle,
shaker, maracas, xylophone, vibraphone, marimba, glockenspiel, whistle, snaps, timpani, toms, snare drum, kick
drum, bass drum, bongo, conga, tambourine, darbuka, doumbek, tabla, auxiliary percussion, drum set, clean
electric guitar, distorted electric guitar, electric bass, lap steel guitar, drum machine, electric piano,
electronic organ, synthesizer, theremin, fx/processed sound, scratches, sampler, Main System, Unlabeled"""


def test_every_instrument_of_medleydb_stands_for_labels() -> None:
    found = {name: layouts.of_medleydb(name) for name in TAXONOMY.replace("\n", " ").split(", ")}
    assert len(found) == 122 and None not in found.values()
    silent = {name for name, evidence in found.items() if evidence and not (evidence.present or evidence.ambiguous)}
    assert silent == {"crowd", "male speaker", "female speaker", "fx/processed sound"}
    timpani, banjo, unlabeled = (layouts.truth_of([found[name]]) for name in ("timpani", "banjo", "Unlabeled"))  # type: ignore[list-item]
    assert timpani["percussion"] == 1 and math.isnan(timpani["drums"]) and timpani["brass"] == 0
    assert banjo["plucked"] == banjo["banjo"] == 1 and math.isnan(banjo["guitar"]) and banjo["harp"] == 0
    assert all(map(math.isnan, unlabeled.values()))


def test_a_family_without_its_instrument_leaves_those_open() -> None:
    strings, kick = (
        layouts.truth_of([evidence])
        for name in ("string section", "kick drum")
        if (evidence := layouts.of_medleydb(name))
    )
    assert strings["strings"] == 1 and math.isnan(strings["violin"]) and strings["guitar"] == 0
    assert kick["drums"] == 1 and kick["cymbals"] == 0


def test_audioset_uses_the_clips_that_are_there(tmp_path: Path) -> None:
    audioset(tmp_path)
    suite = layouts.audioset(tmp_path)
    assert [clip.path.name for clip in suite.clips] == ["-0RWZT-miFs_420.000.wav", "Y--4gqARaEJE.flac"]
    assert [clip.truth["guitar"] for clip in suite.clips] == [1, 0] and suite.notes == [
        "2 of 3 clips of the list are there"
    ]


def test_the_command_prints_figures_beside_published_ones(tiny_model: Path, tmp_path: Path) -> None:
    irmas(tmp_path / "set")
    (next((tmp_path / "set").rglob("some piano.wav"))).write_bytes(b"no recording")
    done = invoke(
        "evaluate", tiny_model, "--benchmark", "irmas", tmp_path / "set", "-o", tmp_path / "out", "--draws", 20
    )
    assert done.status == 1 and "some piano.wav: " in done.stderr and "Written: " in done.stderr
    assert "1 of 11 classes: pia" in done.stdout and "2 recordings" in done.stdout
    assert "published f1_micro_all  0.602" in done.stdout and "arXiv:1605.09507" in done.stdout
    assert json.loads((tmp_path / "out" / "benchmark.json").read_text())["failed"] == 1


def test_what_is_no_benchmark_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    for name in NAMES:
        done = invoke("evaluate", tiny_model, "--benchmark", name, tmp_path)
        assert done.status == 1 and done.stderr.startswith("whoplays: ") and done.stderr.count("\n") == 1, name
        assert str(tmp_path) in done.stderr
    openmic(tmp_path)
    (tmp_path / "openmic-2018-aggregated-labels.csv").write_text("sample_key,instrument\n")
    with pytest.raises(DatasetError, match="has no column relevance"):
        layouts.openmic(tmp_path)
    assert invoke("evaluate", tiny_model, tmp_path).status == 2  # no --out
    assert invoke("evaluate", tiny_model, tmp_path, "--benchmark", "openmic", "--split", "training").status == 2
    with pytest.raises(UsageError, match="must be one of"):
        benchmarks.evaluate("gtzan", tmp_path, Recogniser(tiny_model))


def test_a_model_without_its_classes_is_refused(tmp_path: Path) -> None:
    from conftest import write_tiny_model

    labels = catalogue().labels_for(["a", "b", "c", "d", "e"])
    model = write_tiny_model(tmp_path / "own", labels=labels)
    openmic(tmp_path / "set")
    with pytest.raises(ModelError, match="has none of the classes of openmic"):
        benchmarks.evaluate("openmic", tmp_path / "set", Recogniser(model))
