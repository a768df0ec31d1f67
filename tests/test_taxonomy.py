"""The labels: the file says what the contract says, the tree's rules hold, and colours can be distinguished."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import invoke, write_tiny_model
from whoplays import dataset
from whoplays.dataset import BuildSettings, Dataset, Split, sources
from whoplays.errors import DatasetError, ModelError, UsageError, WhoplaysError
from whoplays.evaluation import metrics
from whoplays.evaluation.evaluate import evaluate, measure
from whoplays.features import LOGMEL
from whoplays.inference.prediction import Prediction
from whoplays.inference.recogniser import Recogniser
from whoplays.model import folder as model_folder
from whoplays.model.config import ModelConfig
from whoplays.results import formats, query, table
from whoplays.results.formats.text import Text
from whoplays.results.html import build as report
from whoplays.results.terminal import Look
from whoplays.serve.app import create_app
from whoplays.serve.settings import Settings
from whoplays.sources.audioset import Draw, Ontology, Segment, choose_classes, find_dependencies, make_plan
from whoplays.taxonomy.catalogue import FILE, VARIABLE, catalogue, shade
from whoplays.taxonomy.tree import Label, Tree
from whoplays.training.recipes import train

# Written out again, not read from labels.toml.
INSTRUMENTS = {
    "brass": ["trumpet", "trombone", "french-horn", "tuba"],
    "drums": ["cymbals"],
    "guitar": ["acoustic-guitar", "electric-guitar"],
    "piano": ["acoustic-piano", "electric-piano"],
    "strings": ["violin", "viola", "cello", "double-bass"],
    "voice": [],
    "bass": [],
    "woodwinds": ["saxophone", "flute", "clarinet", "oboe", "bassoon"],
    "organ": [],
    "synthesizer": [],
    "accordion": [],
    "mallets": [],
    "plucked": ["harp", "banjo", "mandolin", "ukulele"],
    "percussion": [],
}
TREE = catalogue().select(["strings", "guitar", "violin", "cello"])


def known(tree: Tree, *present: str, **more) -> dict[str, int | None]:
    return dict(zip(tree.ids, tree.targets(present, **more), strict=True))


def test_the_file_holds_the_families_and_instruments_in_their_order() -> None:
    tree = catalogue()
    assert [family.id for family in tree.families] == list(INSTRUMENTS)
    assert {family: [label.id for label in tree.instruments(family)] for family in INSTRUMENTS} == INSTRUMENTS
    assert tree.ids == (*INSTRUMENTS, *itertools.chain(*INSTRUMENTS.values()))
    assert tree.defaults == ("brass", "drums", "guitar", "piano", "strings")


def test_every_label_has_names_and_a_colour_of_its_own() -> None:
    for name in ("en", "pl", "colour"):
        assert len({getattr(label, name) for label in catalogue().labels}) == len(catalogue())


def oklab(colour: str) -> np.ndarray:
    """Return a colour in OKLab (Ottosson 2020), where distances are as large as they look."""
    channels = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    cones = np.array(
        [
            [0.41222147, 0.53633254, 0.05144599],
            [0.21190350, 0.68069955, 0.10739696],
            [0.08830246, 0.28171884, 0.62997870],
        ]
    )
    opponent = np.array(
        [
            [0.21045426, 0.79361779, -0.00407205],
            [1.97799850, -2.42859221, 0.45059371],
            [0.02590404, 0.78277177, -0.80867577],
        ]
    )
    return opponent @ np.cbrt(cones @ linear)


def distance(one: Label, other: Label) -> float:
    return float(np.linalg.norm(oklab(one.colour) - oklab(other.colour)))


def test_families_differ_in_hue_and_instruments_are_shades_of_their_family() -> None:
    tree = catalogue()
    for one, other in itertools.combinations(tree.families, 2):
        assert distance(one, other) > 0.1, (one.id, other.id)
    for family in tree.families:
        shades = [family, *tree.instruments(family.id)]
        for one, other in itertools.combinations(shades, 2):
            assert distance(one, other) > 0.05, (one.id, other.id)
        _, a, b = oklab(family.colour)
        for label in shades[1:]:
            _, x, y = oklab(label.colour)
            assert (a * x + b * y) / (np.hypot(a, b) * np.hypot(x, y)) > 0.94, f"{label.id} is of another hue"


def test_what_a_clip_says_about_each_label() -> None:
    assert known(TREE, "violin") == {"strings": 1, "guitar": 0, "violin": 1, "cello": 0}
    assert known(TREE, "strings") == {"strings": 1, "guitar": 0, "violin": None, "cello": None}
    assert known(TREE, "guitar") == {"strings": 0, "guitar": 1, "violin": 0, "cello": 0}
    assert known(TREE, unknown=["strings"]) == {"strings": None, "guitar": 0, "violin": None, "cello": None}
    assert known(TREE, "strings", absent=["cello"]) == {"strings": 1, "guitar": 0, "violin": None, "cello": 0}
    assert known(TREE, "guitar", unknown=["cello"])["cello"] == 0, "no strings, so no cello"
    assert known(TREE, "kazoo") == dict.fromkeys(TREE.ids, 0)


def test_no_family_scores_less_than_its_instruments() -> None:
    scores = np.array([[0.2, 0.9, 0.7, 0.1], [0.8, 0.1, 0.3, 0.4]], dtype=np.float32)
    np.testing.assert_array_equal(
        TREE.raise_families(scores), np.array([[0.7, 0.9, 0.7, 0.1], [0.8, 0.1, 0.3, 0.4]], dtype=np.float32)
    )
    assert scores[0, 0] == np.float32(0.2)
    flat = catalogue().select(catalogue().defaults)
    rows = np.zeros((2, 5), dtype=np.float32)
    assert flat.raise_families(rows) is rows


def test_ancestors_levels_and_groups() -> None:
    assert TREE.ancestors("violin") == ("strings",) and TREE.ancestors("guitar") == ()
    assert TREE.family_of("cello") == TREE.family_of("strings") == "strings"
    assert TREE.expand(["cello"]) == ("strings", "cello")
    assert TREE.levels() == {"families": (0, 1), "instruments": (2, 3)}
    assert TREE.groups() == {"families": (0, 1), "strings": (2, 3)}
    alone = catalogue().select(["violin", "guitar"])
    assert [label.parent for label in alone.labels] == [None, None], "without its family it stands alone"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parent": "winds"}, "no family here"),
        ({"colour": "red"}, "must be #rrggbb"),
        ({"colour": "#12345g"}, "must be #rrggbb"),
        ({"en": ""}, "a name is empty"),
        ({"pl": "a\nb"}, "not printable"),
        ({"id": "strings"}, "occurs twice"),
        ({"parent": "cello"}, "no family here"),
    ],
)
def test_what_is_no_tree_is_refused(changes: dict[str, str], message: str) -> None:
    last = Label.from_dict({**TREE["violin"].to_dict(), "id": "viola", **changes})
    with pytest.raises(ValueError, match=message):
        Tree([*TREE.labels, last])


def test_families_come_first() -> None:
    with pytest.raises(ValueError, match="families must come first"):
        Tree([TREE["strings"], TREE["violin"], TREE["guitar"]])


def test_what_names_of_instruments_say() -> None:
    tree = catalogue()
    violin, kick, banjo = (tree.of_sample(name) for name in ("violin-section", "kick", "banjo"))
    assert violin and violin.present == ("strings", "violin") and violin.family == "strings"
    assert kick and dict(zip(tree.ids, tree.targets(kick.present, absent=kick.absent), strict=True))["cymbals"] == 0
    assert banjo and banjo.present == ("plucked", "banjo") and banjo.ambiguous == ("guitar",)
    pizzicato = tree.of_sample("double-bass-pizz")
    assert pizzicato and pizzicato.present == ("strings", "double-bass") and pizzicato.ambiguous == ("bass",)
    assert tree.of_sample("electric-guitar") and tree.of_sample("cardboard-box") is None
    assert tree.of_program(33).present == ("bass",) and tree.of_program(0).present == ("piano", "acoustic-piano")
    assert tree.of_program(62).ambiguous == ("brass", "synthesizer") and tree.of_program(127).present == ()


def test_nothing_is_an_example_of_a_label_and_ambiguous_for_it() -> None:
    tree = catalogue()
    evidence = [tree.of_program(program) for program in range(128)]
    assert sum(bool(one.present) for one in evidence) > 90
    for one in evidence:
        assert not set(one.present) & set(one.ambiguous)


def test_an_instrument_shares_what_its_family_excludes() -> None:
    violin, piano = catalogue().audioset("violin"), catalogue().audioset("acoustic-piano")
    assert violin and "/m/03m5k" in violin.exclude and "/m/0d8_n" in violin.ambiguous
    assert piano and {"/m/01s0ps", "/m/013y1f"} <= set(piano.exclude)
    assert catalogue().audioset("viola") is None


def test_labels_of_ones_own_are_families_unless_said_otherwise() -> None:
    labels = {label.id: label for label in catalogue().labels_for(["siren", "guitar", "horn", "whistle"])}
    assert list(labels) == ["siren", "guitar", "horn", "whistle"]
    assert all(label.parent is None for label in labels.values())
    assert len({label.colour for label in labels.values()}) == 4
    found = catalogue().labels_for(["fiddle", "violin", "strings"], {"fiddle": "strings"})
    assert [(label.id, label.parent) for label in found] == [
        ("strings", None),
        ("fiddle", "strings"),
        ("violin", "strings"),
    ]
    assert found[1].colour == shade(found[0].colour, 1) != found[2].colour
    moved = catalogue().labels_for(["sounds", "violin"], {"violin": "sounds"})[1]
    assert (moved.parent, moved.pl) == ("sounds", "skrzypce")
    with pytest.raises(UsageError, match="cannot be below violin"):
        catalogue().labels_for(["fiddle", "violin", "strings"], {"fiddle": "violin"})
    with pytest.raises(UsageError, match="cannot be a label id"):
        catalogue().labels_for(["a;b"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", r"\[x\] needs en, pl and colour"),
        ("[x]\nen = 'x'\npl = 'x'\ncolour = '#000000'\nmidi.includes = [1]", "includes"),
        ("[x]\nen = 'x'\npl = 'x'\ncolour = '#000000'\ncolor = '#000000'", "field 'color'"),
        ("[x]\nparent = 'y'\nen = 'x'\npl = 'x'\ncolour = '#000000'", "no family here"),
        ("[x", "is not a file of labels"),
    ],
)
def test_an_invalid_file_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    path = tmp_path / "labels.toml"
    path.write_text(text)
    monkeypatch.setenv(VARIABLE, str(path))
    with pytest.raises(UsageError, match=message):
        catalogue()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "missing.toml"))
    with pytest.raises(UsageError, match="cannot be read"):
        catalogue()


def test_a_models_configuration_carries_its_tree() -> None:
    config = ModelConfig(name="m", version="1", labels=TREE.labels, features=LOGMEL)
    again = ModelConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again.labels == TREE.labels and again.tree.instruments("strings") == TREE.instruments("strings")
    with pytest.raises(ModelError, match="sigmoid is needed"):
        ModelConfig(name="m", version="1", labels=TREE.labels, features=LOGMEL, activation="softmax")
    with pytest.raises(ModelError, match="families must come first"):
        ModelConfig(name="m", version="1", labels=TREE.labels[::-1], features=LOGMEL)
    with pytest.raises(ModelError, match=r"format 1.*train it again"):
        ModelConfig.from_dict({**config.to_dict(), "format": 1})
    flat = [{name: label[name] for name in ("id", "en", "pl")} for label in config.to_dict()["labels"]]
    with pytest.raises(ModelError, match="lacks 'parent'"):
        ModelConfig.from_dict({**config.to_dict(), "labels": flat})


def test_predicting_does_not_read_the_file(tiny_model: Path, duet: Path) -> None:
    code = (
        f"import sys, whoplays; whoplays.load({str(tiny_model)!r}).predict({str(duet)!r});"
        "print('whoplays.taxonomy.catalogue' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert FILE.is_file()


# --- what the tree means for data sets, plans, predictions, tables and metrics


def write_manifest(path: Path, header: str, *rows: str) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def targets_of(path: Path, **choice) -> tuple[tuple[str, ...], list[tuple[int | None, ...]]]:
    labels, clips, _ = sources.read_source(path, with_none=True, **choice)
    return tuple(label.id for label in labels), [clip.targets for clip in clips]


def test_a_row_that_names_an_instrument_names_its_family(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    write_manifest(path, "path,labels", "a.wav,violin", "b.wav,strings", "c.wav,guitar", "d.wav,violin;guitar")
    assert targets_of(path) == (
        ("guitar", "strings", "violin"),
        [(0, 1, 1), (0, 1, None), (1, 0, 0), (1, 1, 1)],
    )
    write_manifest(path, "path,family,instrument", "a.wav,strings,violin", "b.wav,strings,", "c.wav,other,kick")
    wanted = ("drums", "strings", "cymbals", "violin")
    assert targets_of(path, labels=wanted) == (wanted, [(0, 1, 0, 1), (0, 1, 0, None), (1, 0, 0, 0)])
    write_manifest(path, "path,strings,guitar,violin", "a.wav,,0,1", "b.wav,0,1,", "c.wav,1,,0")
    assert targets_of(path) == (("guitar", "strings", "violin"), [(0, 1, 1), (1, 0, 0), (None, 1, 0)])
    write_manifest(path, "path,labels", "a.wav,violin", "b.wav,strings")
    assert targets_of(path, labels=("strings",)) == (("strings",), [(1,), (1,)]), "an instrument that is no label here"


def test_cells_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "m.csv", "path,strings,violin", "a.wav,0,1")
    with pytest.raises(DatasetError, match="line 2: violin is 1 and strings 0"):
        sources.read_source(path)


def test_a_label_of_ones_own_can_be_below_a_family(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "m.csv", "path,label", "a.wav,bodhran", "b.wav,percussion", "c.wav,siren")
    labels, clips, _ = sources.read_source(path, parents=["bodhran=percussion"])
    assert [(label.id, label.parent) for label in labels] == [
        ("percussion", None),
        ("siren", None),
        ("bodhran", "percussion"),
    ]
    assert [clip.targets for clip in clips] == [(1, 0, 1), (1, 0, None), (0, 1, 0)]
    for choice, message in (
        ({"parents": ["bodhran"]}, "write LABEL=FAMILY"),
        ({"labels": ["siren", "siren"]}, "occurs twice"),
        ({"labels": ["siren", "x" * 101]}, "longer than 100"),
    ):
        with pytest.raises(DatasetError, match=message):
            sources.read_source(path, **choice)


ONTOLOGY = Ontology(
    names={"/m/0l14_3": "Bowed string instrument", "/m/07y_7": "Violin", "/m/01xqw": "Cello", "/m/0342h": "Guitar"},
    children={"/m/0l14_3": ("/m/07y_7", "/m/01xqw")},
)


def clip(number: int, *labels: str) -> Segment:
    return Segment(f"{number:011d}", 0.0, 10.0, list(labels))


def test_a_plan_knows_that_a_violin_is_of_the_strings() -> None:
    rows = [clip(1, "/m/07y_7"), clip(2, "/m/0l14_3"), clip(3, "/m/0342h", "/m/01xqw")]
    classes = choose_classes(ONTOLOGY, families=["strings", "violin"])
    clips = {one.video_id: one for one in make_plan(rows, classes, Draw(solo=True)).clips}
    assert clips["00000000001"].families == ("strings", "violin") and clips["00000000001"].unsure == ()
    assert clips["00000000002"].families == ("strings",) and clips["00000000002"].unsure == ("violin",)
    found = find_dependencies(rows, classes, ONTOLOGY)
    assert not found.pairs and found.pair("strings", "violin") is None
    assert [one.with_another for one in found.exclusions] == [0, 0]
    with pytest.raises(UsageError, match="no label for 'viola'; --include viola=LABEL"):
        choose_classes(ONTOLOGY, families=["viola"])
    [viola] = choose_classes(ONTOLOGY, include=["viola=Cello"])
    assert viola.id == "viola" and viola.include == {"/m/01xqw"}


@pytest.fixture(scope="module")
def tree_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with five labels of two families; strings alone has a threshold that is never reached."""
    labels = catalogue().select(["strings", "guitar", "violin", "cello", "viola"]).labels
    folder = tmp_path_factory.mktemp("tree") / "model"
    return write_tiny_model(folder, labels=labels, thresholds=(1.0, 1.0, 0.01, 1.0, 1.0))


def test_a_family_plays_where_its_instrument_does(tree_model: Path, duet: Path) -> None:
    recogniser = Recogniser(tree_model)
    prediction = recogniser.predict(duet)
    assert list(prediction.scores) == ["strings", "guitar", "violin", "cello", "viola"]
    below = [prediction.scores[label] for label in ("violin", "cello", "viola")]
    assert prediction.scores["strings"] >= max(below) > 0
    frames = prediction.frame_scores
    assert (frames[:, :1] >= frames[:, 2:]).all()
    assert prediction.playing == ["strings", "violin"], "though the threshold of strings is not reached"
    assert {segment.label for segment in prediction.segments} == {"strings", "violin"}
    shown = Text(recogniser.labels, "en", Look(80)).item(prediction).splitlines()
    assert [line.split()[0] for line in shown[1:3]] == ["strings", "violin"]
    assert "  not found: guitar, cello, viola" in shown
    rows = formats.writer("audacity")(recogniser.labels).item(prediction).splitlines()
    assert {row.split("\t")[2].rsplit(" ", 1)[0] for row in rows} == {"strings", "strings: violin"}


def test_many_recordings_end_with_how_many_have_what(tree_model: Path, duet: Path) -> None:

    done = invoke("predict", duet, duet, "-m", tree_model, "-j", "1", "-f", "csv")
    assert "In 2 recordings: strings 2 (violin 2" in done.stderr
    assert "In 2" not in invoke("predict", duet, duet, "-m", tree_model, "-j", "1", "-f", "csv", "-q").stderr
    assert "In 1" not in invoke("predict", duet, "-m", tree_model, "-f", "csv").stderr


def test_a_family_may_play_where_its_instrument_may(tree_model: Path, duet: Path, tmp_path: Path) -> None:
    found = model_folder.read(tree_model)
    config = replace(found.config, thresholds=(1.0,) * 5, maybe=(1.0, 1.0, 0.01, 1.0, 1.0))
    model_folder.write(tmp_path / "model", config, found.content(model_folder.NETWORK), "# a card")
    prediction = Recogniser(tmp_path / "model").predict(duet)
    assert prediction.playing == [] and prediction.maybe == ["strings", "violin"]


def test_only_understands_families(tree_model: Path, duet: Path) -> None:
    prediction = Recogniser(tree_model).predict(duet)
    labels = list(prediction.scores)
    parents = catalogue().parents(labels)
    assert parents == {"violin": "strings", "cello": "strings", "viola": "strings"}

    def found(text: str, *playing: str) -> bool:
        return query.parse(text, labels, parents).matches(replace(prediction, playing=list(playing)))

    assert found("only strings", "strings", "violin") and found("only violin", "strings", "violin")
    assert not found("only violin", "strings", "violin", "cello") and not found("only guitar", "strings", "guitar")
    expression = query.parse("only violin", labels, parents)
    scores = dict.fromkeys(labels, 0.0) | {"strings": 0.9, "violin": 0.8}
    assert expression.rank(replace(prediction, scores=scores)) == 0.8, "its own family takes nothing from it"


def test_tables_of_the_former_form_are_refused_with_what_to_do(tmp_path: Path) -> None:
    row = {"path": "a", "duration": 1.0, "sample_rate": 8000, "model": "m@1", "scores": {"drums": 0.9}}
    row |= {"playing": ["drums"], "segments": [{"family": "drums", "start": 0.0, "end": 1.0, "score": 0.9}]}
    path = tmp_path / "old.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(WhoplaysError, match=r'old.jsonl: its segments have "family" .* make the table anew'):
        list(table.read(path))


def test_levels_are_evaluated_apart(tree_model: Path) -> None:
    found = model_folder.read(tree_model)
    nan = np.nan
    targets = np.array(
        [[1, 0, 1, 0, 0], [1, 0, 0, 1, 0], [1, 0, nan, nan, nan], [0, 1, 0, 0, 0], [1, 0, 1, 0, 0]], dtype=np.float32
    )
    scores = np.array(
        [
            [0.9, 0.1, 0.9, 0.1, 0],
            [0.8, 0.1, 0.1, 0.8, 0],
            [0.7, 0.2, 0, 0, 0],
            [0.1, 0.9, 0, 0, 0],
            [0.6, 0.7, 0.2, 0.6, 0],
        ],
        dtype=np.float32,
    )
    part = Split("test", targets, targets, np.arange(5), np.zeros(5, np.float32), ("a",) * 5, np.zeros(5, np.float32))
    facts = measure(found, targets, scores, part, draws=0)
    by_family, _ = metrics.evaluate(targets[:, :2], scores[:, :2], ["strings", "guitar"], exclusive=False, draws=0)
    for name in ("accuracy", "average_precision_macro", "roc_auc_macro"):
        assert facts["metrics"][name] == by_family[name]
    below, _ = metrics.evaluate(targets[:, 2:], scores[:, 2:], ["violin", "cello", "viola"], exclusive=False, draws=0)
    assert facts["metrics"]["instruments/average_precision_macro"] == below["average_precision_macro"]
    assert facts["metrics"]["violin/average_precision"] == below["violin/average_precision"]
    # Only violin ever reaches its threshold, in three of the four rows of strings: those name strings as well.
    assert (facts["metrics"]["strings/recall"], facts["metrics"]["strings/precision"]) == (0.75, 1.0)
    assert facts["metrics"]["set_exact"] == 0.6 and facts["metrics"]["set_wrong"] == 0
    assert facts["confusion"]["families"]["matrix"] == [[3, 1], [0, 1]]
    assert facts["confusion"]["strings"]["labels"] == ["violin", "cello", "viola"]
    assert facts["confusion"]["strings"]["matrix"] == [[1, 1, 0], [0, 1, 0], [0, 0, 0]], (
        "where exactly one is known to play"
    )


# --- a family that no line of code knows

ADDED = """
[theremin]
en = "theremin"
pl = "teremin"
colour = "#4F7F8F"
audioset.include = { "/m/07kc_" = "Theremin" }
samples.include = ["theremin-any"]

[pitch-rod]
parent = "theremin"
en = "pitch rod"
pl = "pręt wysokości"
colour = "#7FAFBF"
samples.include = ["theremin-rod"]
"""


def test_a_new_family_needs_only_the_data_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "labels.toml"
    path.write_text(FILE.read_text(encoding="utf-8") + ADDED, encoding="utf-8")
    monkeypatch.setenv(VARIABLE, str(path))
    known_classes = choose_classes(Ontology({"/m/07kc_": "Theremin"}, {}), families=["theremin"])
    assert known_classes[0].include == {"/m/07kc_"}

    rows = []
    for i in range(9):
        name = ("theremin-rod", "theremin-any", "guitar-nylon")[i % 3]
        rise = np.sin(2 * np.pi * (300 + 200 * (i % 3)) * np.arange(22050) / 22050 * (1 + i / 50))
        soundfile.write(tmp_path / f"{i}.wav", 0.5 * rise, 22050)
        rows.append(f"{i}.wav,{'guitar' if i % 3 == 2 else 'theremin'},{name}")
    manifest = write_manifest(tmp_path / "m.csv", "path,family,instrument", *rows)
    wanted = ("guitar", "theremin", "pitch-rod")
    settings = BuildSettings(labels=wanted, per_class=0, clip_s=1.0, test=0.34, validation=0.33)
    dataset.build(manifest, tmp_path / "set", settings, jobs=1)
    built = Dataset.open(tmp_path / "set")
    assert [(label.id, label.parent, label.pl) for label in built.labels][1:] == [
        ("theremin", None, "teremin"),
        ("pitch-rod", "theremin", "pręt wysokości"),
    ]
    targets = np.concatenate([built.split(name).targets for name in ("training", "validation", "test")])
    assert np.isnan(targets[:, 2]).sum() == 3 and targets[:, 1].sum() == 6 and np.nansum(targets[:, 2]) == 3

    with pytest.raises(DatasetError, match=r"pitch-rod is below theremin.*--loss sigmoid"):
        train(tmp_path / "set", out=tmp_path / "model", epochs=1)
    train(tmp_path / "set", out=tmp_path / "model", epochs=1, loss="sigmoid")
    facts = evaluate(tmp_path / "model", tmp_path / "set", tmp_path / "judged", draws=0).facts
    assert {"theremin/f1", "pitch-rod/f1", "instruments/f1_macro"} <= set(facts["metrics"])
    assert facts["confusion"]["families"]["labels"] == ["guitar", "theremin"]

    recogniser = Recogniser(tmp_path / "model")
    prediction = recogniser.predict(tmp_path / "0.wav")
    assert prediction.scores["theremin"] >= prediction.scores["pitch-rod"] > 0
    prediction = replace(prediction, playing=["theremin", "pitch-rod"])
    table.write(tmp_path / "t.jsonl", lambda: [prediction.to_dict()], list(prediction.scores))
    [row] = table.read(tmp_path / "t.jsonl")
    expression = query.parse("only theremin", list(row["scores"]), catalogue().parents(list(row["scores"])))
    assert expression.matches(Prediction.from_dict(row))
    report.write(tmp_path / "r.html", [prediction], recogniser, lang="pl")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "teremin" in page and "pręt wysokości" in page and "#4F7F8F" in page
    app = create_app(Settings(model=tmp_path / "model"))
    [route] = [route for route in app.routes if getattr(route, "path", "") == "/v1/labels"]
    answered = asyncio.run(route.endpoint())["labels"]
    assert [(one["id"], one["parent"], one["colour"]) for one in answered][1:] == [
        ("theremin", None, "#4F7F8F"),
        ("pitch-rod", "theremin", "#7FAFBF"),
    ]
