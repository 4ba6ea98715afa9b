"""One session, a range at once, or a session up to its newest bar: the same bits. And no feature knows a price's unit."""

from dataclasses import fields
from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from aurora_pipeline.features import session_panel
from aurora_pipeline.features.inputs import FeatureInputs, ResidualInputs
from aurora_pipeline.features.panel_builder import compute_panel, compute_view
from aurora_pipeline.features.registry import REGISTRY
from aurora_pipeline.features.sector_neutralizer import compute_residual_returns
from aurora_pipeline_tests.features.tiny_market import CALENDAR, random_inputs, with_residuals

OWN_VIEWS = ("price", "sector", "microstructure")


@pytest.fixture(scope="module")
def inputs():
    # the clocks change on 2025-03-09, between the second session and the third
    return random_inputs(seed=6, sessions=5, end=date(2025, 3, 13))


def alone(inputs, session, until=None):
    """The inputs a single session is computed from: no later row, no earlier than its look-back."""
    span = pl.col("session").is_between(CALENDAR.shift(session, -6), session)
    bars = inputs.bars.filter(span)
    if until is not None:
        bars = bars.filter(pl.col("known_at") <= until)
    return with_residuals(
        inputs.with_frames(
            sessions=[session],
            bars=bars,
            until=until,
            universe=inputs.universe.filter(span),
            session_bars=inputs.session_bars.filter(pl.col("session") < session),
            daily_bars=inputs.daily_bars.filter(pl.col("session") < session),
        )
    )


def test_session_alone_equals_the_range(inputs):
    whole = compute_panel(inputs)
    for session in inputs.sessions:
        # a session alone lacks the bars before its look-back, so residuals of earlier sessions come from the range
        single = alone(inputs, session).with_frames(residual_returns=inputs.residual_returns)
        assert compute_panel(single).equals(whole.filter(pl.col("session") == session))


def test_residual_returns_of_a_session_alone_equal_the_range(inputs):
    session = inputs.sessions[-1]
    own = pl.col("session") == session
    assert alone(inputs, session).residual_returns.filter(own).equals(inputs.residual_returns.filter(own))


@pytest.mark.parametrize("bar", [0, 5, 40, 76])
def test_session_until_its_newest_bar_equals_the_range(inputs, bar):
    session = inputs.sessions[2]
    until = CALENDAR.bar_ends(session)[bar]
    earlier = inputs.residual_returns.filter(pl.col("session") < session)
    partial = alone(inputs, session, until)
    own = partial.residual_returns.filter(pl.col("session") == session)
    partial = partial.with_frames(residual_returns=pl.concat([earlier, own]))
    known = (pl.col("session") == session) & (pl.col("decision_time") <= until)
    assert compute_panel(partial).equals(compute_panel(inputs).filter(known))


@pytest.mark.parametrize("frequency", ["5min", "session"])
def test_views_that_follow_their_residual_returns_derive_nothing_twice_and_come_out_the_same(frequency):
    inputs = random_inputs(seed=8, sessions=2, frequency=frequency)
    names = {member.name for member in fields(ResidualInputs) if member.init}
    residual = ResidualInputs(**{name: getattr(inputs, name) for name in names})
    compute_residual_returns(residual)
    own = {member.name: getattr(inputs, member.name) for member in fields(inputs) if member.init}
    following = FeatureInputs.following(residual, **{name: value for name, value in own.items() if name not in names})
    assert compute_panel(following).equals(compute_panel(inputs.with_frames()))
    derived = residual.laid_out
    assert {"daily_histories", "session_panels", "bar_block", "membership"} <= set(derived)
    assert all(following.laid_out[name] is derived[name] for name in derived)


@pytest.mark.parametrize("frequency", ["5min", "session"])
def test_price_scale_changes_no_feature(frequency):
    inputs = random_inputs(seed=7, sessions=2, frequency=frequency)
    hit = pl.col("symbol") == "BBB"

    def scaled(frame):
        prices = [name for name in ("open", "high", "low", "close", "vwap") if name in frame.columns]
        return frame.with_columns(
            *(pl.when(hit).then(pl.col(name) * 4.0).otherwise(pl.col(name)).alias(name) for name in prices),
            pl.when(hit).then(pl.col("volume") / 4.0).otherwise(pl.col("volume")).alias("volume"),
        )

    frames = {name: scaled(getattr(inputs, name)) for name in ("bars", "session_bars", "daily_bars")}
    other = with_residuals(inputs.with_frames(**frames))
    for view in OWN_VIEWS:
        assert_frame_equal(compute_view(view, other), compute_view(view, inputs), check_exact=True)


def test_history_is_as_long_as_the_longest_chain_of_windows(monkeypatch):
    inputs = random_inputs(seed=10, history=820, sessions=1)
    frames = [compute_view(view, inputs) for view in OWN_VIEWS]
    monkeypatch.setattr(session_panel, "SESSION_LOOKBACK", 800)
    longer = inputs.with_frames()
    assert with_residuals(longer).residual_returns.equals(inputs.residual_returns)
    for view, frame in zip(OWN_VIEWS, frames, strict=True):
        assert compute_view(view, longer).equals(frame)
    monkeypatch.setattr(session_panel, "SESSION_LOOKBACK", 700)
    assert not compute_view("sector", inputs.with_frames()).equals(frames[1])


def test_half_day_has_features_and_serves_as_history():
    inputs = random_inputs(seed=8, sessions=3, end=date(2024, 12, 2))  # 2024-11-29 closes at 13:00
    frame = compute_view("sector", inputs)
    counts = (
        frame.group_by("session").agg(pl.col("decision_time").n_unique()).sort("session").get_column("decision_time")
    )
    assert counts.to_list() == [78, 42, 78]
    last = frame.filter(pl.col("session") == inputs.sessions[-1], pl.col("residual_reversal").is_null())
    assert last.height <= 2 * 7  # the weighted mean needs three bars


def test_daily_market_has_the_daily_analogues_and_no_intraday_features():
    inputs = random_inputs(seed=9, history=120, sessions=2, frequency="session")
    frame = pl.concat([compute_view(view, inputs) for view in OWN_VIEWS], how="align")
    assert frame.height == 14
    absent = {name for name in frame.columns if frame.get_column(name).null_count() == frame.height}
    intraday = {spec.name for spec in REGISTRY if "session" not in spec.frequencies}
    assert absent == {*intraday, "momentum_12_1", "residual_momentum_12_1"}
