"""What each part of the material is worth: a head fitted to all of it, and to all but one part.

python -m recipe ablation DATA MATERIAL BASE OUT [--rows NAME ...] [--shards 12] [--steps 8000] [--seeds 3] [--keep]

MATERIAL: as `python -m recipe label` leaves it. BASE: a model folder in floating point that has seen none of it. All but its
last layer stays as it is; in its place a logistic regression for each label is fitted to the hidden values, on as many steps
of time for each row. That takes seconds, and shows what the material says, not what a network could still learn from it.
OUT: a folder that may grow to 500 MB.

    all       scenes, and music that all teachers together have labelled, in equal parts
    mn04      the music is labelled by one teacher alone, the best
    scenes    no music
    no-bands  no scenes of bands in which somebody sings or plays bass; music as in `all`
    families  nothing is known but the five families
    alone     as `all`, but decided without the outputs beside the five families

Hidden values and scores are kept in files: after an interruption the same command goes on, and the table holds all that is done.
All rows get a first seed before any gets a second; a seed samples the steps. Evaluated as in `recipe.decide`, each recording by
decisions fitted without it: the development half of real/, songs with their parts, stems. With --keep it writes the table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from bench import EXPLANATION, measure
from whoplays.evaluation.metrics import average_precision
from whoplays.inference.recogniser import Recogniser
from whoplays.inference.scoring import NetworkOutputs
from whoplays.model import folder as model_folder
from whoplays.model.config import ModelConfig
from whoplays.model.pooling import sigmoid
from whoplays.storage.files import write_atomically
from whoplays.training.default import CONTEXT_S, WINDOW_S
from whoplays.training.heads import Body, split_head

from . import material as store
from . import soft_labels
from .decide import ALWAYS, Fit, reached
from .examples import Example, examples_of
from .labels import LABELS

Array = NDArray[np.float32]
Half = NDArray[np.float16]

FAMILIES = [LABELS.index(family) for family in ALWAYS]
OTHERS = [i for i in range(len(LABELS)) if i not in FAMILIES]
BESIDE = ("voice", "bass")  # labels beside the families that are evaluated
PENALTY, ITERATIONS = 1e-4, 60


@dataclass(frozen=True)
class Row:
    """One row: whose labels its music has (None: all teachers'), what it is trained on, and how it is decided."""

    name: str
    teachers: tuple[str, ...] | None = None
    music: bool = True
    bands: bool = True
    families: bool = False
    trained_as: str = ""


ROWS = (
    Row("all"),
    Row("mn04", teachers=("mn04",)),
    Row("scenes", music=False),
    Row("no-bands", bands=False),
    Row("families", families=True),
    Row("alone", families=True, trained_as="all"),
)


@dataclass(frozen=True)
class Part:
    """Training rows: hidden values (n, steps, width), targets over time, and each row's sampling weight."""

    hidden: Half
    targets: Half
    weight: Array

    def sample(self, rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        """Sample n steps of time and their targets."""
        summed = np.cumsum(self.weight, dtype=np.float64)
        rows = np.searchsorted(summed, rng.random(n) * summed[-1], side="right")
        steps = rng.integers(self.hidden.shape[1], size=n)
        return self.hidden[rows, steps].astype(np.float32), self.targets[rows, steps].astype(np.float32)


class Hidden:
    """A network whose logits are the hidden values, for a recogniser."""

    attends = True

    def __init__(self, base: model_folder.Bundle) -> None:
        """Open a base. Raises `ModelError` for one that the recipe default did not make."""
        self.config: ModelConfig = replace(
            base.config, window_s=WINDOW_S, min_window_s=WINDOW_S, context_s=CONTEXT_S, padding="repeat"
        )
        self._body = Body(split_head(base.content(model_folder.NETWORK))[0])

    def of(self, features: Half) -> Half:
        """Return hidden values (n, steps, width) of features (n, frames, bands)."""
        return np.concatenate([part.astype(np.float16) for part in self._body.hidden(features.astype(np.float32))])

    def run(self, features: Array, *, embed: bool = False) -> dict[str, Array]:
        """Return them as a network's outputs."""
        hidden = np.concatenate(list(self._body.hidden(features)))
        return {"frame_logits": hidden, "attention": hidden[..., :1]}


class HiddenRecogniser(Recogniser):
    """Cuts recordings into the windows that a newly trained model gets, and gives their hidden values."""

    def __init__(self, base: Path, hidden: Hidden) -> None:
        """base: the model folder that `hidden` is of."""
        super().__init__(base)
        self._config, self._network = hidden.config, hidden  # type: ignore[assignment]


class HiddenValues:
    """Hidden values of all training rows and examples; computed once and kept in a folder."""

    def __init__(self, data: Path, material: Path, base: Path, folder: Path, shards: int) -> None:
        """shards: number of shards of scenes, spread over all. Raises `ModelError`, `RenderError`."""
        self._data, self._material, self._base, self._folder = data, material, base, folder
        scenes = store.shards(material / "training")
        self._scenes = [scenes[i] for i in np.unique(np.linspace(0, len(scenes) - 1, shards).astype(int)) if scenes]
        self._hidden = Hidden(model_folder.read(base))

    def _shard(self, path: Path, rows: store.Rows) -> store.Rows:
        """Return the rows of a shard with hidden values for features."""
        kept = self._folder / path.parent.name
        if not (kept / path.name).exists():
            store.write_shard(kept, path.stem, replace(rows, features=self._hidden.of(rows.features)))
        return replace(rows, features=store.read([kept / path.name]).features)

    @cached_property
    def _scene_rows(self) -> list[store.Rows]:
        return [self._shard(path, store.read([path])) for path in self._scenes]

    def scenes(self, row: Row) -> Part:
        """Return the row's scenes."""
        which = [row.bands | ~with_voice_or_bass(rows.about) for rows in self._scene_rows]
        return _part(row, self._scene_rows, which)

    @cache  # noqa: B019  # there is one of it
    def _labelled(self, teachers: tuple[str, ...] | None) -> list[store.Rows]:
        folder, ensemble = self._material / "music", soft_labels.fit(self._material, teachers)
        shards = [
            self._shard(folder / f"{track.name}.npz", soft_labels.labelled(self._material, track, ensemble))
            for track in soft_labels.labelled_tracks(self._material)
        ]
        return shards + [self._shard(path, store.read([path])) for path in sorted(folder.glob("guitar-*.npz"))]

    def music(self, row: Row) -> Part:
        """Return the music, labelled as the row says, with isolated guitars."""
        shards = self._labelled(row.teachers)
        return _part(row, shards, [np.ones(len(rows), dtype=bool) for rows in shards])

    def examples(self) -> list[Example]:
        """Return the examples to evaluate on, with hidden values for outputs."""
        path = self._folder / "examples.npz"
        if not path.exists():
            recogniser = HiddenRecogniser(self._base, self._hidden)
            _keep(path, list(examples_of(recogniser, self._hidden, self._data, self._material, leads_s=(0.0,))))
        return _kept(path)


def with_voice_or_bass(about: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Return which scenes (n,) are of bands with voice or bass, by their descriptions: "drums+bass+piano: ..."."""
    members = [set(text.partition(":")[0].split("+")) for text in about.tolist()]
    return np.array([len(roles) > 1 and bool(roles & {"voice", "bass"}) for roles in members])


def _part(row: Row, shards: Sequence[store.Rows], chosen: Sequence[NDArray[np.bool_]]) -> Part:
    hidden, targets, weight = (
        np.concatenate([getattr(rows, name)[which] for rows, which in zip(shards, chosen, strict=True)])
        for name in ("features", "targets", "weight")
    )
    if row.families:
        targets[..., OTHERS] = np.nan
    return Part(hidden, targets, weight)


def _keep(path: Path, found: Sequence[Example]) -> None:
    facts = [(one.kind, one.sources, len(one.outputs.logits)) for one in found]
    arrays: dict[str, Any] = {
        "hidden": np.concatenate([one.outputs.logits for one in found]).astype(np.float16),
        "lengths": np.concatenate([one.outputs.lengths for one in found]),
        "targets": np.array([one.targets for one in found]),
        "facts": np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: np.savez(file, **arrays), durable=False)


def _kept(path: Path) -> list[Example]:
    with np.load(path, allow_pickle=False) as kept:
        facts, hidden = json.loads(bytes(kept["facts"])), kept["hidden"]
        lengths, targets = kept["lengths"], kept["targets"]
    found, first = [], 0
    for (kind, sources, steps), known in zip(facts, targets, strict=True):
        outputs = NetworkOutputs(hidden[first : first + steps], None, lengths[first : first + steps])
        found.append(Example(kind, outputs, known, tuple(sources)))
        first += steps
    return found


@dataclass(frozen=True)
class Head:
    """Logits of a step = (hidden - mean) / deviation @ weights + bias."""

    mean: Array
    deviation: Array
    weights: Array
    bias: Array

    @classmethod
    def fit(cls, hidden: Array, targets: Array) -> Head:
        """Fit it to hidden values (n, width) and targets (n, labels), 0 to 1, NaN unknown; a label nobody knows gets 0."""
        mean, deviation = hidden.mean(axis=0), hidden.std(axis=0) + np.float32(1e-3)
        x, known = (hidden - mean) / deviation, ~np.isnan(targets)
        y, share = np.where(known, targets, 0), known / np.maximum(known.sum(axis=0), 1).astype(np.float32)
        shape = (x.shape[1] + 1, targets.shape[1])

        def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            p = flat.astype(np.float32).reshape(shape)
            z = x @ p[:-1] + p[-1]
            error = share * (sigmoid(z) - y)
            gradient = np.concatenate([x.T @ error + 2 * np.float32(PENALTY) * p[:-1], error.sum(axis=0)[None]])
            value = (share * (np.logaddexp(0, z) - y * z)).sum() + PENALTY * np.square(p[:-1]).sum()
            return float(value), gradient.astype(np.float64).ravel()

        found = scipy.optimize.minimize(
            loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS}
        )
        p = found.x.astype(np.float32).reshape(shape)
        return cls(mean, deviation, p[:-1], p[-1])

    def apply(self, examples: Sequence[Example]) -> list[Example]:
        """Return the examples with logits in place of hidden values."""
        return [replace(one, outputs=one.outputs._replace(logits=self._logits(one.outputs.logits))) for one in examples]

    def _logits(self, hidden: NDArray[np.floating]) -> Array:
        return np.asarray((hidden.astype(np.float32) - self.mean) / self.deviation @ self.weights + self.bias)


def evaluate(found: Sequence[Example], *, families: bool) -> dict[str, float]:
    """Return figures of decisions on recordings that they were not fitted to. families: use only the families' outputs."""
    if families:
        for one in found:
            one.outputs.logits[:, OTHERS] = 0
    fit = Fit(found, LABELS)
    scores, named = (np.stack(values, axis=1) for values in zip(*(fit.left_out(i) for i in FAMILIES), strict=True))
    truth = fit.targets[:, FAMILIES]
    known, plays = ~np.isnan(truth), truth == 1
    wrong, exact = named & known & ~plays, ((named == plays) | ~known).all(axis=1)

    def of(*kinds: str) -> NDArray[np.bool_]:
        return fit.evaluated & np.isin(fit.kinds, kinds)

    def f1(rows: NDArray[np.bool_]) -> float:
        hits = (named & plays)[rows].sum()
        return float(2 * hits / (2 * hits + wrong[rows].sum() + (~named & plays)[rows].sum()))

    songs = of("songs") & known.all(axis=1)
    clips = of("clips")
    result = {
        "songs exactly right": float(exact[songs].mean()),
        "wrong families per song": float(wrong[songs].sum(axis=1).mean()),
        "10 s of a song: F1": f1(of("10 s")),
        "clips exactly right": float(exact[clips].mean()),
        "mean average precision": float(np.nanmean(average_precision(truth[clips], scores[clips]))),
        "mixes: F1": f1(of("mixes")),
        "duets exactly right": float(exact[of("duets")].mean()),
        "other sounds: any of the five named": float(wrong[of("silent")].any(axis=1).mean()),
        "wrong families per stem": float(wrong[of("stems")].sum(axis=1).mean()),
    }
    if not families:
        result |= {f"average precision: {label}": reached(fit, label).average_precision for label in BESIDE}
    return result


def score(row: Row, seed: int, hidden: HiddenValues, args: argparse.Namespace) -> None:
    """Train and evaluate a row with a seed, and keep the figures, unless that is done."""
    wanted = [one for one in ROWS if row.name in (one.name, one.trained_as)]
    if all(_path(args.out, one, seed).exists() for one in wanted):
        return
    begun = time.monotonic()
    parts, rng = [hidden.scenes(row), *([hidden.music(row)] if row.music else [])], np.random.default_rng(seed)
    sampled = [part.sample(rng, args.steps // len(parts)) for part in parts]
    head = Head.fit(*(np.concatenate(values) for values in zip(*sampled, strict=True)))
    for one in wanted:
        figures = evaluate(head.apply(hidden.examples()), families=one.families)
        write_atomically(_path(args.out, one, seed), json.dumps(figures, indent=1).encode())
        print(
            one.name,
            seed,
            f"{time.monotonic() - begun:.0f} s",
            {a: round(b, 3) for a, b in figures.items()},
            flush=True,
        )


def _path(out: Path, row: Row, seed: int) -> Path:
    return out / "scores" / f"{row.name}-{seed}.json"


def table(out: Path) -> list[dict[str, object]]:
    """Return a line for each row that has figures: the mean over seeds, and the range where there are several."""
    paths = {row.name: sorted((out / "scores").glob(f"{row.name}-[0-9]*.json")) for row in ROWS}
    found = {name: [json.loads(path.read_text()) for path in kept] for name, kept in paths.items() if kept}
    measures = dict.fromkeys(what for runs in found.values() for what in runs[0])
    return [
        {
            "material": name,
            "seeds": len(runs),
            **{what: _spread([run[what] for run in runs if what in run]) for what in measures},
        }
        for name, runs in found.items()
    ]


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    mean = f"{np.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f}-{max(values):.3f})"


def page_table(lines: Sequence[Mapping[str, object]]) -> str:
    """Return the table of docs/explanation/default-model.md: a column for each row of `table`."""
    measures = [name for name in lines[0] if name not in ("material", "seeds")]
    head = " | ".join(str(line["material"]) for line in lines)
    rows = [" | ".join([name, *(str(line[name]) for line in lines)]) for name in measures]
    return "\n".join([f"| | {head} |", "|" + "---|" * (len(lines) + 1), *(f"| {row} |" for row in rows)])


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="folder with real/ and songs/")
    parser.add_argument("material", type=Path, metavar="MATERIAL", help="as python -m recipe label leaves it")
    parser.add_argument("base", type=Path, metavar="BASE", help="model folder in floating point to begin as")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for hidden values and figures")
    trained = [row.name for row in ROWS if not row.trained_as]
    parser.add_argument(
        "--rows", nargs="*", choices=trained, default=trained, help="those alone; `all` gives `alone` too"
    )
    parser.add_argument("--shards", type=int, default=12, help="shards of scenes to use (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=8000, help="steps of time to fit to (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each row (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="write bench/results/ablation.json")
    args = parser.parse_args()
    (args.out / "scores").mkdir(parents=True, exist_ok=True)
    hidden = HiddenValues(args.data, args.material, args.base, args.out / "hidden", args.shards)
    for seed in range(args.seeds):
        for row in (row for row in ROWS if row.name in args.rows):
            score(row, seed, hidden, args)
    lines = table(args.out)
    print(json.dumps(lines, indent=1))
    if args.keep:
        base = model_folder.read(args.base).config.id
        remarks = (
            f"Heads on the hidden values of `{base}`, fitted to {args.steps:,} steps of time each; the mean over "
            f"{lines[0]['seeds']} seeds and the range. Shares from 0 to 1. Development half of real/, songs and stems, each "
            "recording decided without it."
        )
        measure.keep(
            "ablation",
            "What each part of the material is worth",
            lines,
            peer="the row `all`",
            packages=("onnxruntime", "scipy"),
            remarks=remarks,
        )
        measure.write_section(EXPLANATION / "default-model.md", "ablation", f"{page_table(lines)}\n\n{remarks}")


if __name__ == "__main__":
    main()
