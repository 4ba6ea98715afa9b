from datetime import timedelta

import polars as pl
import pytest

from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.ablation import TABLE
from aurora_pipeline.monitoring.claim_promises import PROMISES
from aurora_pipeline.monitoring.dashboard.charts import BLUE
from aurora_pipeline.monitoring.dashboard.data_panels import (
    FEEDS,
    TICKS,
    data_quality,
    feed_health,
    feed_rhythm,
    tick_latency,
)
from aurora_pipeline.monitoring.dashboard.evidence_panels import claim_ledger, phase_ablation
from aurora_pipeline_tests.monitoring.dashboard.stored_rows import (
    absent,
    charts,
    day,
    facts,
    figures,
    moment,
    rows,
    table,
)

NOW = moment(60)


def arrivals(**by_symbol):
    """Rows of a feed: symbol to ages in days."""
    return pl.DataFrame(
        [(symbol, NOW - timedelta(days=age)) for symbol, ages in by_symbol.items() for age in ages],
        schema={"symbol": pl.String, "known_at": pl.Datetime("us", "UTC")},
        orient="row",
    )


def health(*feeds):
    blocks = feed_health(pl.concat(feeds), NOW, 0)
    return {row["feed"]: row["health"] for row in table(blocks, "feed")}


def test_a_feed_is_late_by_its_own_rhythm():
    found = health(
        feed_rhythm("earnings", arrivals(A=[60, 151, 242], B=[80, 170]), NOW),
        feed_rhythm("options", arrivals(A=[10, 11, 12], B=[10, 11, 12]), NOW),
        feed_rhythm("short_interest", arrivals(A=[2, 16], B=[3, 17], C=[90, 104]), NOW),
        feed_rhythm("etf_flows", arrivals(), NOW),
    )
    assert found == {"earnings": "in time", "options": "late", "short_interest": "partly late", "etf_flows": "absent"}


def test_what_was_not_known_by_the_newest_bar_does_not_make_a_feed_fresh():
    rhythm = feed_rhythm("options", arrivals(A=[-1, 10, 11]), NOW)
    assert rhythm.row(0, named=True) == {
        "feed": "options", "rows": 2, "symbols": 1, "newest": NOW - timedelta(days=10), "gap_days": 1.0,
        "age_days": 10.0, "late_share": 1.0,
    }  # fmt: skip
    assert "bar" in absent(feed_health(pl.DataFrame(schema=FEEDS), None, 0)).why


def test_data_quality_counts_and_names():
    quality = rows(
        "data_quality",
        {"session": day(0), "symbol": "A", "expected_bars": 78, "missing_bars": 2},
        {"session": day(1), "symbol": "A", "expected_bars": 78, "quarantined_bars": 1},
        {"session": day(1), "symbol": "B", "expected_bars": 78},
    )
    refused = rows("quarantine", {"session": day(1), "source": "bars", "symbol": "A", "reason": "high_below_low"})
    blocks = data_quality(quality, refused)
    assert facts(blocks)["bars present"] == (f"{100 * 232 / 234:.3f} %", "of 234 expected")
    assert facts(blocks)["newest session"] == ("0 missing", f"1 quarantined, {day(1)}")
    assert table(blocks, "reason")[0]["reason"] == "high below low"
    assert [row["symbol"] for row in table(blocks, "symbol")] == ["A"]
    assert "aurora run" in absent(data_quality(empty("data_quality"), empty("quarantine"))).command


def test_latency_of_the_newest_session_and_percentiles_of_those_whose_bars_are_gone():
    made = [(day(1), moment(1, bar), "decided", "", 100.0 + bar) for bar in range(3)]
    made.append((day(1), moment(1, 3), "skipped", "late: the bar is 300 s old", None))
    ticks = pl.DataFrame(made, schema=TICKS, orient="row")
    closed = {day(0): {"decided": 78, "reasons": {}, "computation_ms": {"p50": 90.0, "p95": 120.0, "p99": 130.0}}}
    blocks = tick_latency(ticks, closed)
    assert facts(blocks)["computation, median"] == ("101 ms", f"3 bars on {day(1)}")
    columns = ("session", "bars decided", "skipped", "50 %, ms", "95 %, ms", "99 %, ms")
    assert table(blocks, "skipped") == [
        dict(zip(columns, (str(day(0)), "78", "0", "90", "120", "130"), strict=True)),
        dict(zip(columns, (str(day(1)), "3", "1 late", "101", "102", "102"), strict=True)),
    ]
    assert "aurora live" in absent(tick_latency(ticks.clear(), {})).command


def test_claims_stand_in_the_order_of_the_plan():
    planned = [promise.claim_id for promise, _ in PROMISES]
    stored = [{"claim_id": name, "claim": name, "verdict": "met"} for name in sorted([*planned, "added"])]
    shown = [row["claim"] for row in table(claim_ledger(rows("claims", *stored)), "claim")]
    assert shown == [*planned, "added"]
    assert shown[:-1] != sorted(planned)


def test_claims_keep_their_verdicts():
    claims = rows(
        "claims",
        {"claim_id": "a", "claim": "IC of 0.12", "verdict": "not met", "measured": "0.1", "market_kind": "synthetic"},
        {"claim_id": "b", "claim": "drawdown", "verdict": "not testable", "measured": None, "value": None},
    )
    blocks = claim_ledger(claims)
    assert facts(blocks)["not met"][0] == "1"
    assert [(row["verdict"], row["verdict"].tone) for row in table(blocks, "verdict")] == [
        ("not met", "bad"),
        ("not testable", "quiet"),
    ]
    assert [row["measured"] for row in table(blocks, "verdict")] == ["0.1", "–"]
    assert absent(claim_ledger(empty("claims"))).command == "aurora claims"


@pytest.mark.parametrize("synthetic", [True, False])
def test_the_ablation_says_on_what_it_was_measured(synthetic):
    assert absent(phase_ablation(None)).command == "aurora ablate"
    first = dict.fromkeys(TABLE) | {"phase": "baseline", "adds": "a model", "rank_ic": 0.1, "net_bps": 1.0}
    second = first | {
        "phase": "zoo",
        "ic_gain": 0.01,
        "ic_gain_lower": -0.01,
        "ic_gain_upper": 0.03,
        "net_gain_bps": 0.5,
    }
    blocks = phase_ablation({"market": "tiny", "synthetic": synthetic, "phases": [first, second]})
    assert ("SYNTHETIC" in blocks[-1].text) is synthetic
    assert table(blocks, "phase")[1]["95 % interval"] == ""
    assert "zoo" in charts(blocks)[0]


def test_phases_are_drawn_from_top_to_bottom_with_their_intervals(monkeypatch):
    phases = [
        dict.fromkeys(TABLE)
        | {"phase": name, "adds": name, "ic_gain": gain, "ic_gain_lower": -1.0, "ic_gain_upper": 1.0}
        for name, gain in (("zoo", 0.03), ("costs", -0.02), ("ensemble", 0.01))
    ]
    saved = figures(monkeypatch)
    phase_ablation({"market": "tiny", "synthetic": True, "phases": phases})
    left, _ = saved[0].axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["zoo", "costs", "ensemble"]
    assert left.yaxis_inverted()
    points = [(*line.get_xdata(), *line.get_ydata()) for line in left.lines if line.get_marker() == "o"]
    assert points == [(0.03, 0), (-0.02, 1), (0.01, 2)]
    spans = [(list(line.get_xdata()), set(line.get_ydata())) for line in left.lines if line.get_color() == BLUE]
    assert [span for span in spans if len(span[0]) == 2] == [([-1.0, 1.0], {place}) for place in range(3)]
