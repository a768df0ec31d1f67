"""The labels' colours on the page: distinguishable, by colour-blind eyes too, on light and on dark paper."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from whoplays.model import folder as model_folder
from whoplays.taxonomy.catalogue import catalogue

CSS = (Path(__file__).parents[1] / "src" / "whoplays" / "serve" / "page" / "page.css").read_text()
TREE = catalogue()
Floats = NDArray[np.float64]

#: Full dichromacy in linear RGB (Machado, Oliveira and Fernandes 2009, severity 1).
EYES = {
    "usual": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
_TO_LMS = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
           [0.0883024619, 0.2817188376, 0.6299787005]]  # fmt: skip
_TO_LAB = [[0.2104542553, 0.793617785, -0.0040720468], [1.9779984951, -2.428592205, 0.4505937099],
           [0.0259040371, 0.7827717662, -0.808675766]]  # fmt: skip


def linear(colour: str) -> Floats:
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.asarray(np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4))


def oklab(rgb: Floats) -> Floats:
    return np.asarray(np.array(_TO_LAB) @ np.cbrt(np.maximum(np.array(_TO_LMS) @ rgb, 0)))


def from_oklab(lab: Floats) -> Floats:
    return np.asarray(np.clip(np.linalg.inv(_TO_LMS) @ (np.linalg.inv(_TO_LAB) @ lab) ** 3, 0, 1))


def variable(scheme: str, name: str) -> str:
    return re.findall(rf"--{name}: (#[0-9a-f]{{6}});", CSS)[scheme == "dark"]


def shown(colour: str, scheme: str) -> Floats:
    """The label's colour, linear RGB, as `--shade` mixes it with the ink."""
    found = re.search(r"--shade: color-mix\(in oklab, var\(--tint\) (\d+)%, var\(--ink\)\)", CSS)
    assert found
    share = int(found[1]) / 100
    return from_oklab(share * oklab(linear(colour)) + (1 - share) * oklab(linear(variable(scheme, "ink"))))


def distance(a: Floats, b: Floats, eye: str) -> float:
    seen = [oklab(np.clip(np.array(EYES[eye]) @ colour, 0, 1)) for colour in (a, b)]
    return float(np.linalg.norm(seen[0] - seen[1]))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("eye", EYES)
def test_the_families_that_ship_and_siblings_differ(scheme: str, eye: str) -> None:
    families = [label.id for label in model_folder.read().config.labels if label.parent is None]
    groups = [families, *([f.id, *(i.id for i in TREE.instruments(f.id))] for f in TREE.families)]
    for group in groups:
        for a, b in itertools.combinations(group, 2):
            found = distance(shown(TREE[a].colour, scheme), shown(TREE[b].colour, scheme), eye)
            assert found > 0.03, (scheme, eye, a, b, round(found, 3))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_families_differ_for_usual_eyes_and_all_stand_out_from_the_paper(scheme: str) -> None:
    for a, b in itertools.combinations(TREE.families, 2):
        assert distance(shown(a.colour, scheme), shown(b.colour, scheme), "usual") > 0.05, (scheme, a.id, b.id)
    luminance = np.array([0.2126, 0.7152, 0.0722])
    paper = luminance @ linear(variable(scheme, "card"))
    for label in TREE.labels:
        own = luminance @ shown(label.colour, scheme)
        contrast = (max(own, paper) + 0.05) / (min(own, paper) + 0.05)
        assert contrast > 1.5, (scheme, label.id, round(float(contrast), 2))
