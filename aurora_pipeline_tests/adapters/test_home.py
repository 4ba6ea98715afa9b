"""A home is where its directory is: what lies inside goes with it when it is moved or copied."""

import shutil
from datetime import date

import pytest

from aurora_pipeline.adapters.home import Home, MarketRecord
from aurora_pipeline.contracts import empty
from aurora_pipeline.errors import ContractError, LakeError
from aurora_pipeline.live.homes import make_live
from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline.workflows.main_job import prepare_home


def _record(directory):
    return MarketRecord(name="hand", directory=directory, first_session=date(2025, 1, 2), last_session=date(2025, 1, 7))


def test_a_market_folder_inside_a_home_goes_with_it_and_one_outside_stays(tmp_path):
    home, other = Home(tmp_path / "home"), Home(tmp_path / "other")
    home.record_market(_record(home.path / "markets" / "live"))
    other.record_market(_record(tmp_path / "market"))
    assert home.market().directory == home.path / "markets" / "live"
    for made in (home, other):
        shutil.copytree(made.path, tmp_path / "copies" / made.path.name)
    assert Home(tmp_path / "copies" / "home").market().directory == tmp_path / "copies" / "home" / "markets" / "live"
    assert Home(tmp_path / "copies" / "other").market().directory == tmp_path / "market"


def test_a_copied_live_home_reads_the_market_folder_it_writes_to(tmp_path):
    simulate_market(tmp_path / "market", preset="small", seed=3, sessions=5, symbols=8)
    home, _, _ = prepare_home(Home(tmp_path / "home"), tmp_path / "market", [])
    make_live(home)
    shutil.copytree(home.path, tmp_path / "copy")
    copied, folder, settings = prepare_home(Home(tmp_path / "copy"), None, [])
    assert copied.folder().path == folder.path == settings.market.directory == tmp_path / "copy" / "markets" / "live"
    assert copied.market().live


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"table": "prediction"}, ContractError, "no table 'prediction'; the lake has .*predictions"),
        (
            {"table": "predictions", "model": "rigde"},
            LakeError,
            "predictions has no model 'rigde'; it has lasso, ridge",
        ),
        ({"table": "signals", "model": "ridge"}, LakeError, "signals is not kept by model; filter its rows"),
        ({"table": "orders", "book": "live"}, LakeError, "orders has no book 'live'; it has none yet"),
        ({"table": "signals", "start": "2024-13-01"}, LakeError, "'2024-13-01' is no date"),
    ],
)
def test_what_a_notebook_asks_for_and_is_not_there_is_named_with_what_is(tmp_path, asked, error, words):
    home = Home(tmp_path)
    for model in ("ridge", "lasso"):
        home.lake.write("predictions", empty("predictions"), "2024-11-29", fingerprint="made", model=model)
    assert home.read("predictions", model="ridge").is_empty()
    with pytest.raises(error, match=words):
        home.read(**asked)


def test_a_home_is_named_by_a_path_or_by_text(tmp_path):
    assert Home(str(tmp_path)) == Home(tmp_path)
    assert Home(str(tmp_path)).settings() == Home(tmp_path).settings()
