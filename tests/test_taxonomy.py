"""The labels: the file says what the contract says, the tree's rules hold, and colours can be told apart."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from whoplays.errors import ModelError, UsageError
from whoplays.features import LOGMEL
from whoplays.model.folder import ModelConfig
from whoplays.taxonomy.catalogue import FILE, VARIABLE, catalogue, shade
from whoplays.taxonomy.tree import Label, Tree

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


def test_families_are_told_apart_by_hue_and_instruments_are_shades_of_their_family() -> None:
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
        ("[x", "is no file of labels"),
    ],
)
def test_a_file_that_is_wrong_is_told_in_one_line(
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
