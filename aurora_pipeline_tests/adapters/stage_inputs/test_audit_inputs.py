"""What the audit reads beside features and labels: decoys of a planted market, columns a market does not have."""

from datetime import timedelta

import polars as pl
import pytest

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.stage_inputs.audit import absent_features, decoy_columns
from aurora_pipeline.contracts import FEED_TABLES
from aurora_pipeline.market.ingest import ingest_bars, ingest_feeds
from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline.workflows.main_job import prepare_home


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Home of a planted market with the tables of its last session."""
    root = tmp_path_factory.mktemp("audit")
    simulate_market(root / "market", preset="small", seed=2, sessions=6, symbols=8)
    home, folder, settings = prepare_home(Home(root / "home"), root / "market", ["quality.eligibility_sessions=1"])
    feeds = ingest_feeds(folder, settings)
    session = home.sessions(settings)[-1]
    recent = home.lake.read("bars")
    made = ingest_bars(
        folder.read_bars([session]), [session], feeds, folder.manifest, folder.calendar, recent, settings
    )
    for name in FEED_TABLES:
        home.lake.write(name, feeds[name], fingerprint="test")
    for name in ("universe", "bars"):
        home.lake.write_sessions(name, getattr(made, name), {str(session): "test"})
    return home


def features(home):
    stocks = home.lake.read("universe").filter(pl.col("kind") == "stock")
    session = stocks.get_column("session")[0]
    last = home.calendar.bar_ends(session)[-1]
    return stocks.select("session", "symbol", pl.lit(last, pl.Datetime("us", "UTC")).alias("decision_time"))


def test_every_decoy_has_values(home):
    rows, specs = decoy_columns(home, features(home))
    declared = home.folder().manifest.decoys
    assert [spec.name for spec in specs] == [f"decoy {column}" for column in declared]
    assert rows.height == features(home).height
    for spec in specs:
        assert rows.get_column(spec.name).count() > 0, spec.name


def test_a_funds_decoy_is_the_same_for_all_stocks_of_its_sector(home):
    rows, _ = decoy_columns(home, features(home))
    sectors = home.lake.read("universe").select("symbol", "sector")
    found = (
        rows.join(sectors, on="symbol").group_by("sector").agg(pl.col("decoy etf_flows.gross_creations_usd").n_unique())
    )
    assert found.get_column("decoy etf_flows.gross_creations_usd").to_list() == [1] * found.height


def test_columns_the_market_does_not_have_cost_their_features(home):
    close = home.calendar.close(home.sessions(home.settings())[-1])
    assert absent_features(home, close) == {}
    bare = home.lake.read("fundamentals").with_columns(pl.lit(None, pl.Float64).alias("gross_profit"))
    kept = home.lake.read("fundamentals")
    home.lake.write("fundamentals", bare, fingerprint="test")
    try:
        lost = absent_features(home, close)
    finally:
        home.lake.write("fundamentals", kept, fingerprint="test")
    assert lost["gross_profitability"] == f"the market has no fundamentals.gross_profit by {close:%Y-%m-%d}"
    assert "return_on_equity" not in lost


def test_a_feed_that_begins_after_the_block_costs_its_features(home):
    flows = home.lake.read("etf_flows")
    begins = flows.get_column("known_at").min()
    assert "sector_flow" not in absent_features(home, begins)
    lost = absent_features(home, begins - timedelta(seconds=1))
    assert lost["flow_to_volume_pressure"].startswith("the market has no etf_flows.net_flow_usd by ")
    assert "return_on_equity" not in lost
