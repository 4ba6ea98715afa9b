"""A home is where its directory is: what lies inside goes with it when it is moved or copied."""

import shutil
from datetime import date

from aurora_pipeline.adapters.home import Home, MarketRecord
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
