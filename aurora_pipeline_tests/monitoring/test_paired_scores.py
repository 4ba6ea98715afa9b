"""Scores paired with outcomes against a join, for any order of rows."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from aurora_pipeline.monitoring.paired_scores import pair_scores

NAMES = [f"S{k}" for k in range(7)]
MODELS = ["a", "b", "c"]
OPEN = datetime(2024, 5, 14, 13, 35, tzinfo=UTC)


def rows(seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Scores of three models over two sessions with gaps, nulls and NaN, and outcomes of other names and times beside theirs."""
    random = np.random.default_rng(seed)
    cells = [(day, bar, name) for day in range(2) for bar in range(4) for name in NAMES]
    times = [OPEN + timedelta(days=day, minutes=5 * bar) for day, bar, _ in cells]
    values = random.normal(size=(len(MODELS), len(cells))).round(1)
    values[random.random(values.shape) < 0.1] = np.nan
    scores = pl.concat(
        pl.DataFrame(
            {
                "session": [date(2024, 5, 14) + timedelta(days=day) for day, _, _ in cells],
                "symbol": [name for _, _, name in cells],
                "decision_time": times,
                "model": model,
                "score": value,
            }
        )
        for model, value in zip(MODELS, values, strict=True)
    )
    outcomes = pl.DataFrame(
        {
            "symbol": [name for _, _, name in cells] + ["elsewhere"],
            "decision_time": [*times, OPEN],
            "label": random.normal(size=len(cells) + 1),
            "matured_at": [time + timedelta(days=1, minutes=int(random.integers(9))) for time in [*times, OPEN]],
        }
    ).with_columns(pl.when(pl.col("label") > 1.0).then(None).otherwise(pl.col("label")).alias("label"))
    keep = pl.Series(random.random(outcomes.height) < 0.8)
    return scores.sample(fraction=0.8, seed=seed, shuffle=True), outcomes.filter(keep).sample(
        fraction=1.0, seed=seed, shuffle=True
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("by", [["model"], []])
def test_pairs_are_those_of_a_join(seed, by):
    scores, outcomes = rows(seed)
    scores = scores if by else scores.filter(pl.col("model") == "b")
    found = pair_scores(scores, outcomes, "score", "label", by)
    joined = scores.join(outcomes, on=["symbol", "decision_time"])
    joined = joined.filter(pl.col("score").is_finite() & pl.col("label").is_finite())
    groups = joined.group_by("session", *by, "decision_time").agg(
        pl.len().cast(pl.Int64).alias("names"), pl.col("matured_at").max()
    )
    assert_frame_equal(found.groups, groups.sort(*by, "decision_time"))
    assert found.ends[-1] == len(found.scores) == joined.height
    starts = [0, *found.ends[:-1].tolist()]
    for group, start, end in zip(found.groups.iter_rows(named=True), starts, found.ends.tolist(), strict=True):
        own = joined.filter(*(pl.col(name) == group[name] for name in [*by, "decision_time"]))
        pairs = sorted(zip(found.scores[start:end].tolist(), found.outcomes[start:end].tolist(), strict=True))
        assert pairs == sorted(own.select("score", "label").iter_rows())


def test_what_would_pair_wrongly_is_refused():
    scores, outcomes = rows(0)
    with pytest.raises(ValueError, match="more than once"):
        pair_scores(scores, pl.concat([outcomes, outcomes.head(1)]), "score", "label", ["model"])
    moved = scores.with_columns(
        pl.when(pl.col("symbol") == "S1").then(date(2024, 5, 20)).otherwise("session").alias("session")
    )
    with pytest.raises(ValueError, match="another session"):
        pair_scores(moved, outcomes, "score", "label", ["model"])
    nameless = scores.with_columns(pl.when(pl.col("symbol") == "S1").then(None).otherwise("model").alias("model"))
    with pytest.raises(ValueError, match="null among session, model, decision_time"):
        pair_scores(nameless, outcomes, "score", "label", ["model"])
