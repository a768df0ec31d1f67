"""Evaluation: each figure against a slow one written from its definition, intervals over recordings, and the page."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import invoke, write_tiny_model
from whoplays import dataset
from whoplays.errors import DatasetError, ModelError, UsageError
from whoplays.evaluation import metrics
from whoplays.evaluation.evaluate import METRICS, REPORT, evaluate
from whoplays.model.folder import read
from whoplays.taxonomy.messages import messages

LABELS = ["a", "b", "c"]


def slow_average_precision(truth: list[float], scores: list[float]) -> float:
    """Precision at each threshold times the recall it adds, threshold by threshold."""
    pairs = [(t, s) for t, s in zip(truth, scores, strict=True) if not np.isnan(t)]
    total, before, found = sum(t for t, _ in pairs), 0.0, 0.0
    for threshold in sorted({s for _, s in pairs}, reverse=True):
        said = [t for t, s in pairs if s >= threshold]
        found += (sum(said) - before) / total * sum(said) / len(said)
        before = sum(said)
    return found


def slow_auc(truth: list[float], scores: list[float]) -> float:
    """Every positive against every negative."""
    positives = [s for t, s in zip(truth, scores, strict=True) if t == 1]
    negatives = [s for t, s in zip(truth, scores, strict=True) if t == 0]
    return float(np.mean([(p > n) + 0.5 * (p == n) for p in positives for n in negatives]))


cells = st.tuples(st.sampled_from([0.0, 1.0, float("nan")]), st.integers(0, 8).map(lambda n: n / 8))
column = st.lists(cells, min_size=2, max_size=30).filter(lambda c: {0.0, 1.0} <= {t for t, _ in c})


@given(column)
def test_ranking_figures_equal_slow_ones(rows: list[tuple[float, float]]) -> None:
    truth, scores = [t for t, _ in rows], [s for _, s in rows]
    ranking, one = metrics.Ranking(np.array(truth), np.array(scores)), np.ones((1, len(rows)))
    assert ranking.average_precision(one)[0] == pytest.approx(slow_average_precision(truth, scores))
    assert ranking.roc_auc(one)[0] == pytest.approx(slow_auc(truth, scores))


def test_a_row_that_is_sampled_twice_counts_as_two_rows() -> None:
    rng = np.random.default_rng(0)
    truth, scores = (rng.random(40) < 0.4) * 1.0, np.round(rng.random(40), 1)
    counts = rng.integers(0, 3, 40)
    ranking = metrics.Ranking(truth, scores)
    repeated = slow_average_precision(list(np.repeat(truth, counts)), list(np.repeat(scores, counts)))
    assert ranking.average_precision(counts[None].astype(float))[0] == pytest.approx(repeated)
    assert ranking.roc_auc(counts[None].astype(float))[0] == pytest.approx(
        slow_auc(list(np.repeat(truth, counts)), list(np.repeat(scores, counts)))
    )


@pytest.mark.parametrize("exclusive", [True, False])
def test_every_draw_of_many_counts_for_itself(exclusive: bool) -> None:
    """All figures under weights are those of the rows repeated as often, draw by draw."""
    rng = np.random.default_rng(1)
    targets = np.eye(3)[rng.integers(0, 3, 40)]
    targets[::9] = np.nan
    scores = np.round(rng.random((40, 3)), 2)
    counts = rng.integers(0, 3, (6, 40))
    parts = metrics._Parts(targets, scores, exclusive, scores >= 0.4)
    drawn = parts.figures(counts.astype(float), ["a", "b", "c"])
    for i, weights in enumerate(counts):
        some, theirs = (np.repeat(values, weights, axis=0) for values in (targets, scores))
        alone, _ = metrics.evaluate(some, theirs, ["a", "b", "c"], exclusive=exclusive, named=theirs >= 0.4, draws=0)
        assert {name: values[i] for name, values in drawn.items()} == pytest.approx(alone, nan_ok=True)


def test_draws_do_not_hang_on_how_many_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_CELLS", 100)
    held = list(metrics.bootstrap_weights(np.arange(30), 10))
    assert [len(weights) for weights in held] == [3, 3, 3, 1]
    assert all((weights.sum(axis=1) == 30).all() for weights in held)


def test_the_reports_figures_by_hand() -> None:
    targets = np.eye(3)[[0, 1, 2, 0]]
    scores = np.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.1, 0.6, 0.3], [0.51, 0.3, 0.19]])
    found, none = metrics.evaluate(targets, scores, LABELS, exclusive=True, draws=0)
    assert found["accuracy"] == 0.5  # rows 0 and 3
    assert found["precision"] == pytest.approx(2 / 3)  # over 0.5: rows 0 and 3 right, row 2 wrong
    assert found["recall"] == 0.5
    assert found["loss"] == pytest.approx(-np.mean(np.log([0.7, 0.35, 0.3, 0.51])))
    assert found["a/recall"] == 1.0 and found["b/precision"] == 0.0 and np.isnan(found["c/precision"])
    assert none == {}
    assert metrics.confusion_matrix(targets, scores).tolist() == [[2, 0, 0], [1, 0, 0], [0, 1, 0]]


def test_figures_of_independent_labels_by_hand() -> None:
    targets = np.array([[1, 0], [1, 1], [0, 1], [1, 0]], float)
    scores = np.array([[0.9, 0.2], [0.6, 0.4], [0.7, 0.8], [0.1, 0.6]])
    found, none = metrics.evaluate(targets, scores, ["a", "b"], exclusive=False, draws=0)
    assert none == {}
    right = np.array([0.9, 0.6, 0.3, 0.1, 0.8, 0.4, 0.8, 0.4])  # what each cell's truth was given
    assert found["loss"] == pytest.approx(-np.log(right).mean())
    assert (found["accuracy"], found["top_accuracy"]) == pytest.approx((4 / 8, 2 / 3))
    assert (found["a/f1"], found["b/f1"], found["f1_macro"]) == pytest.approx((4 / 6, 2 / 4, 7 / 12))
    assert found["a/average_precision"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert found["b/average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.evaluate(np.zeros((2, 1)), np.zeros((2, 1)), ["a"], exclusive=False, draws=0)[0]["recall"] == 0


def test_figures_are_those_keras_gives() -> None:
    from whoplays.training.framework import load_keras

    keras = load_keras()
    rng = np.random.default_rng(1)
    targets = np.eye(3)[rng.integers(0, 3, 200)]
    scores = rng.dirichlet([0.4] * 3, 200)
    found, _ = metrics.evaluate(targets, scores, LABELS, exclusive=True, draws=0)
    named = {
        "precision": keras.metrics.Precision(),
        "recall": keras.metrics.Recall(),
        "accuracy": keras.metrics.CategoricalAccuracy(),
        "loss": keras.metrics.CategoricalCrossentropy(),
    }
    for name, metric in named.items():
        metric.update_state(targets, scores)
        assert found[name] == pytest.approx(float(metric.result()), rel=1e-4), name


def test_what_is_not_known_counts_neither_way() -> None:
    rng = np.random.default_rng(2)
    targets, scores = (rng.random((50, 3)) < 0.4) * 1.0, rng.random((50, 3))
    targets[10:30, 1] = np.nan
    first, _ = metrics.evaluate(targets, scores, LABELS, exclusive=False, draws=0)
    scores[10:30, 1] = rng.random(20)
    second, _ = metrics.evaluate(targets, scores, LABELS, exclusive=False, draws=0)
    assert first == pytest.approx(second, nan_ok=True)


def test_a_calibrated_forecaster_has_no_error_and_a_boaster_has() -> None:
    scores = np.repeat(np.arange(10) / 10 + 0.05, 200)[:, None]
    honest = np.concatenate([np.arange(200) < round(200 * p) for p in np.arange(10) / 10 + 0.05])[:, None] * 1.0
    found, _ = metrics.evaluate(honest, scores, ["a"], exclusive=False, draws=0)
    assert found["calibration_error"] == pytest.approx(0, abs=1e-9)
    found, _ = metrics.evaluate(honest, np.full_like(scores, 0.95), ["a"], exclusive=False, draws=0)
    assert found["calibration_error"] == pytest.approx(0.45)


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, np.nan]), st.integers(0, 20)), min_size=1, max_size=40))
def test_points_of_a_curve_are_precision_and_recall_at_their_thresholds(rows: list[tuple[float, int]]) -> None:
    targets, scores = np.array([t for t, _ in rows]), np.array([s / 20 for _, s in rows])
    points = metrics.precision_recall(targets, scores)
    assert bool(points) == bool((targets == 1).any())
    for threshold, recall, precision in points:
        named = scores >= threshold - 1e-9
        assert recall == pytest.approx((named & (targets == 1)).sum() / (targets == 1).sum(), abs=1e-4)
        assert precision == pytest.approx((named & (targets == 1)).sum() / (named & ~np.isnan(targets)).sum(), abs=1e-4)
    assert [p[1] for p in points] == sorted(p[1] for p in points)


def test_reliability_lies_on_the_line_for_a_calibrated_forecaster() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((20000, 2))
    bins = metrics.reliability((rng.random(scores.shape) < scores).astype(float), scores)
    assert sum(one["cells"] for one in bins) == scores.size and len(bins) == 10
    for one in bins:
        assert one["low"] <= one["score"] <= one["high"] and abs(one["plays"] - one["score"]) < 0.03


def test_intervals_are_over_recordings_not_rows() -> None:
    """Ten copies of each recording's row say no more than one: the interval must not shrink."""
    rng = np.random.default_rng(3)
    targets, scores = np.eye(3)[rng.integers(0, 3, 60)], rng.dirichlet([1] * 3, 60)
    one = metrics.evaluate(targets, scores, LABELS, exclusive=True, draws=400)[1]["accuracy"]
    copies = (np.repeat(targets, 10, axis=0), np.repeat(scores, 10, axis=0))
    groups = np.repeat(np.arange(60), 10)
    grouped = metrics.evaluate(*copies, LABELS, exclusive=True, recordings=groups, draws=400)[1]["accuracy"]
    naive = metrics.evaluate(*copies, LABELS, exclusive=True, draws=400)[1]["accuracy"]
    assert grouped == pytest.approx(one, abs=0.03)
    assert naive[1] - naive[0] < 0.5 * (grouped[1] - grouped[0])


def test_a_mix_counts_as_often_as_all_its_parts_are_sampled_together() -> None:
    parts = np.array([["a", "b"], ["a", "c"], ["b", "c"]])
    alone = np.concatenate(list(metrics.bootstrap_weights(np.array(["a", "b", "c"]), 50, seed=4)))
    together = np.concatenate(list(metrics.bootstrap_weights(parts, 50, seed=4)))
    a, b, c = alone.T
    np.testing.assert_array_equal(together, np.stack([a * b, a * c, b * c], axis=1))


def test_a_sum_that_names_a_part_twice_counts_it_once() -> None:
    """Sums of two and of three parts stand in one array: the shorter ones repeat a part."""
    padded = np.array([["a", "b", "b"], ["a", "b", "c"]])
    alone = np.concatenate(list(metrics.bootstrap_weights(np.array(["a", "b", "c"]), 50, seed=4)))
    together = np.concatenate(list(metrics.bootstrap_weights(padded, 50, seed=4)))
    a, b, c = alone.T
    np.testing.assert_array_equal(together, np.stack([a * b, a * b * c], axis=1))


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for trial in range(40):
        rng = np.random.default_rng(trial)
        right = rng.random(80) < 0.7
        scores = np.where(right[:, None], [[0.8, 0.2]], [[0.2, 0.8]])
        low, high = metrics.evaluate(np.tile([1.0, 0.0], (80, 1)), scores, ["a", "b"], exclusive=True, draws=200)[1][
            "accuracy"
        ]
        held += low <= 0.7 <= high
    assert held >= 33


def test_thresholds_are_the_best_for_f1() -> None:
    rng = np.random.default_rng(4)
    targets = (rng.random((300, 2)) < 0.3) * 1.0
    scores = np.clip(targets * 0.3 + rng.random((300, 2)) * 0.6, 0, 1)
    scores[:, 1] = targets[:, 1] * 0 + 0.5  # nothing to learn from
    limit = metrics.best_thresholds(targets, scores)[0]

    def f1(threshold: float) -> float:
        said = scores[:, 0] >= threshold
        return 2 * (said * targets[:, 0]).sum() / (said.sum() + targets[:, 0].sum())

    assert f1(limit) >= max(f1(t) for t in np.linspace(0.05, 0.95, 200)) - 0.01
    assert metrics.best_thresholds(np.zeros((5, 1)), rng.random((5, 1))) == [0.5]
    assert metrics.best_thresholds(np.ones((5, 1)), rng.random((5, 1))) == [0.5]


@pytest.mark.parametrize(
    ("scores", "limit"),
    [
        ([0.1, 0.2, 0.6, 0.8], 0.5),  # all from 0.2 to 0.6 are as good: the one nearest to one half
        ([0.1, 0.2, 0.3, 0.4], 0.25),
        ([0.6, 0.7, 0.9, 1.0], 0.8),
        ([0.3, 0.94, 0.97, 0.99], 0.95),
        ([0.01, 0.02, 0.06, 0.08], 0.05),
        ([0.96, 0.97, 0.98, 0.99], 0.5),  # none within the limits parts them
    ],
)
def test_a_threshold_lies_between_scores_and_within_its_limits(scores: list[float], limit: float) -> None:
    found = metrics.best_thresholds(np.array([[0.0], [0.0], [1.0], [1.0]]), np.array(scores)[:, None])
    assert found == [pytest.approx(limit)]


@pytest.mark.parametrize(
    ("targets", "scores", "message"),
    [
        (np.zeros((3, 2)), np.zeros((3, 3)), "shape"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "no rows"),
        (np.zeros((2, 2)), np.full((2, 2), 1.5), "logits"),
        (np.zeros((2, 2)), np.full((2, 2), np.nan), "logits"),
        (np.full((2, 2), 0.5), np.zeros((2, 2)), "1, 0 or NaN"),
    ],
)
def test_arrays_that_cannot_be_are_refused(targets: np.ndarray, scores: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.evaluate(targets, scores, LABELS, exclusive=True)


# -- the whole way -----------------------------------------------------------------------------------------------------


class Outline(HTMLParser):
    """Tags, ids and addresses of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "action", "data"):
                self.addresses.append(value or "")


@pytest.fixture(scope="module")
def evaluated(trained_model: Path, small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluated")
    evaluate(trained_model, small_dataset, out, draws=200)
    return out


def test_metrics_json_says_what_was_measured_on_what(evaluated: Path) -> None:
    facts = json.loads((evaluated / METRICS).read_text())
    assert facts["model"] == "mfcc-cnn@1"
    assert facts["data_set"]["split"] == "test" and facts["data_set"]["rows"] == facts["data_set"]["recordings"] == 6
    assert facts["metrics"]["accuracy"] >= 0.6
    low, high = facts["intervals"]["accuracy"]
    assert 0 <= low <= facts["metrics"]["accuracy"] <= high <= 1
    assert np.sum(facts["confusion"]["families"]["matrix"]) == 6
    assert facts["metrics"]["loss_with_penalty"] > facts["metrics"]["loss"]
    assert list(facts["metrics"])[:4] == ["set_f1", "set_precision", "set_recall", "set_exact"]
    low, high = facts["intervals"]["set_exact"]
    assert 0 <= low <= facts["metrics"]["set_exact"] <= high <= 1 and facts["metrics"]["set_wrong"] >= 0


def test_the_page_opens_offline_and_holds_the_figures(evaluated: Path) -> None:
    text = (evaluated / REPORT).read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(text)
    assert outline.tags.count("svg") == 6  # the mark, labels, curves, reliability, confusion, history
    assert outline.tags.count("h1") == 1 and {"main", "table", "figure", "figcaption", "caption"} <= set(outline.tags)
    assert not {"script", "link", "img", "iframe"} & set(outline.tags)
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in outline.addresses)
    assert len(outline.ids) == len(set(outline.ids))
    assert "prefers-color-scheme: dark" in text and "currentColor" in text
    assert re.search(r"6 rows of 6 recordings", text) and "95 % interval over recordings" in text
    assert text.index("exactly right") < text.index("mean average precision")


def test_the_same_evaluation_twice_gives_the_same_bytes(
    evaluated: Path, trained_model: Path, small_dataset: Path, tmp_path: Path
) -> None:
    done = evaluate(trained_model, small_dataset, tmp_path, draws=200, device="migraphx")  # which is not there
    assert "--device migraphx" in done.notice
    assert (tmp_path / METRICS).read_bytes() == (evaluated / METRICS).read_bytes()
    assert (tmp_path / REPORT).read_bytes() == (evaluated / REPORT).read_bytes()


def test_a_model_and_a_data_set_that_do_not_match_are_refused(
    tiny_model: Path, small_dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"not those the model reads \(feature_type mfcc there, logmel in the model"):
        evaluate(tiny_model, small_dataset, tmp_path / "out")
    from whoplays.features import REPORT as SETTINGS

    other = write_tiny_model(tmp_path / "other", features=SETTINGS, activation="softmax")
    with pytest.raises(ModelError, match="does not say where brass, piano plays"):
        evaluate(other, small_dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_labels_that_the_data_set_does_not_have_count_neither_way(
    tiny_model: Path, class_folders: Path, tmp_path: Path
) -> None:
    features = read(tiny_model).config.features
    settings = dataset.BuildSettings(features=features, clip_s=10.24, test=0.25, validation=0.25)
    dataset.build(class_folders, tmp_path / "set", settings)
    found = invoke("evaluate", str(tiny_model), str(tmp_path / "set"), "--out", str(tmp_path / "r"), "--draws", "20")
    assert found.status == 0
    assert "does not say where they play: brass, piano." in found.stderr
    facts = json.loads((tmp_path / "r" / METRICS).read_text())
    assert facts["data_set"]["labels_not_known"] == ["brass", "piano"]
    assert facts["metrics"]["brass/average_precision"] is None
    assert facts["metrics"]["drums/average_precision"] is not None
    page = html.unescape((tmp_path / "r" / REPORT).read_text("utf-8"))
    assert "Not evaluated" in page and "drums F1" in page and "brass F1" not in page, "and no empty pictures of them"


def test_a_data_set_of_other_features_is_refused_with_advice(
    tiny_model: Path, small_dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="build the data set with --features logmel"):
        evaluate(tiny_model, small_dataset, tmp_path / "out")


def test_bad_calls_are_one_line(trained_model: Path, small_dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no split 'exam'"):
        evaluate(trained_model, small_dataset, tmp_path / "out", split="exam")
    with pytest.raises(UsageError, match="--draws"):
        evaluate(trained_model, small_dataset, tmp_path / "out", draws=-1)
    with pytest.raises(ModelError, match="no such model folder"):
        evaluate(tmp_path / "missing", small_dataset, tmp_path / "out")


def test_the_command_says_the_figures_with_their_intervals(
    trained_model: Path, small_dataset: Path, tmp_path: Path
) -> None:
    arguments = ["evaluate", str(trained_model), str(small_dataset), "--out", str(tmp_path / "r"), "--draws", "50"]
    done = invoke(*arguments)
    assert done.status == 0 and done.stdout == ""
    assert re.search(r"accuracy: [01]\.\d+  \(95 %: ", done.stderr)
    assert 0 < done.stderr.index("set_exact: ") < done.stderr.index("loss: ")
    assert (tmp_path / "r" / REPORT).is_file()


def test_the_page_speaks_polish(evaluated: Path, trained_model: Path, small_dataset: Path, tmp_path: Path) -> None:
    words = ["--out", str(tmp_path / "r"), "--draws", "200", "--lang", "pl"]
    done = invoke("evaluate", str(trained_model), str(small_dataset), *words)
    assert done.status == 0 and "nagrania: 6" in done.stderr and "Zapisano: " in done.stderr
    english, polish = (html.unescape((folder / REPORT).read_text("utf-8")) for folder in (evaluated, tmp_path / "r"))
    assert '<html lang="pl">' in polish and "Utworzone przez whoplays" in polish
    for key, message in messages()["evaluation"].items():
        ours, theirs = (max(re.split(r"\{\w+\}", message[lang]), key=len).strip() for lang in ("en", "pl"))
        if len(ours.split()) > 2:
            assert ours not in polish, key
            assert ours not in english or theirs in polish, key
    shown = set(re.findall(r">([^<>]+)<", polish))
    assert {label.pl for label in read(trained_model).config.labels} <= shown and not {"guitar", "drums"} & shown
    assert (tmp_path / "r" / METRICS).read_bytes() == (evaluated / METRICS).read_bytes()
