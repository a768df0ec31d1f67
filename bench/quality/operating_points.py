"""What moving all thresholds costs on whole songs: precision and recall at three positions of the page's control.

    python -m bench operating_points DATA [MODEL] [--keep]

DATA: a folder of training material with songs/. With --keep the figures go into the model's config.json as
`training.operating_points`, which `whoplays serve` returns. Only families whose presence is known count.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import measure
from bench.quality.real import FAMILY_IDS
from bench.quality.songs import songs
from bench.quality.systems import Model
from whoplays.model import folder as model_folder

ARGUMENTS = ("DATA",)
SMALL = "DATA"
POSITIONS = (-1.0, 0.0, 1.0)
CUT_S = 30


def moved(own: Sequence[float], maybe: Sequence[float], position: float) -> tuple[float, ...]:
    """Return a model's thresholds as the page moves them (`thresholds.js`), from the lower ones for *maybe*.

    position: -1: fewer mistakes; 0: `own`; 1: `maybe`, so that what may play plays. Between and beyond, thresholds move evenly
    in log odds; where both are equal, by 1.
    """

    def log_odds(share: float) -> float:
        inside = min(0.9999, max(0.0001, share))
        return math.log(inside / (1 - inside))

    found = []
    for limit, lower in zip(own, maybe, strict=True):
        step = log_odds(limit) - log_odds(lower) if lower < limit else 1.0
        found.append(1 / (1 + math.exp(position * step - log_odds(limit))) if position else limit)
    return tuple(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder of training material with songs/")
    parser.add_argument("model", type=Path, nargs="?", help="model folder; without it, the one in the package")
    parser.add_argument("--keep", action="store_true", help="write the figures into the model's config.json")
    args = parser.parse_args()
    model = Model(args.model)
    recordings = [part for song in songs(args.data) for part in (song.recording, *song.cuts(CUT_S))]
    targets = np.array([recording.targets for recording in recordings])
    scores = np.array([output.scores for output in model.outputs(recordings)])
    places = [model.config.tree.index(family) for family in FAMILY_IDS]
    own, lower = ([limits[place] for place in places] for limits in (model.config.thresholds, model.config.maybe))
    rows: list[dict[str, Any]] = []
    for position in POSITIONS:
        named = scores >= np.array(moved(own, lower, position))
        right = int((named & (targets == 1)).sum())
        wrong, missed = int((named & (targets == 0)).sum()), int((~named & (targets == 1)).sum())
        rows.append({"position": position, "precision": right / (right + wrong), "recall": right / (right + missed)})
    if args.keep:
        path = model_folder.read(args.model).folder / model_folder.CONFIG
        values = json.loads(path.read_text(encoding="utf-8"))
        values["training"]["operating_points"] = [{k: round(v, 3) for k, v in row.items()} for row in rows]
        path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    measure.keep(
        "operating_points",
        f"What moving all thresholds costs ({model.name})",
        rows,
        peer="none",
        packages=("onnxruntime",),
        remarks=f"{len(recordings)} recordings: whole songs and parts of {CUT_S} s. The model's own thresholds (position 0) were "
        "fitted on these songs as well as on other recordings.",
    )


if __name__ == "__main__":
    main()
