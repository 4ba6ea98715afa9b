"""Writes daily bars as a Qlib data folder: calendar, instruments and one binary file per symbol and field.

Runs under Qlib's own interpreter (pandas and numpy only). Format as in Qlib's `dump_bin`: little-endian float32, the first
number is the position of the first value in the calendar.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

FIELDS = ("open", "high", "low", "close", "volume", "vwap")


def write_store(bars: pd.DataFrame, folder: Path) -> None:
    """Write a data folder.

    Parameters
    ----------
    bars : pandas.DataFrame
        `symbol`, `session`, `open`, `high`, `low`, `close`, `volume`, comparable over time (adjusted).
    folder : Path
        Made if it does not exist.
    """
    # Daily bars have no vwap; Alpha158 asks for one, the middle of the day stands in.
    bars = bars.assign(vwap=(bars["high"] + bars["low"] + bars["close"]) / 3.0)
    calendar = np.sort(bars["session"].unique())
    names = sorted(bars["symbol"].unique())
    (folder / "calendars").mkdir(parents=True, exist_ok=True)
    (folder / "instruments").mkdir(exist_ok=True)
    days = pd.DatetimeIndex(calendar).strftime("%Y-%m-%d")
    (folder / "calendars" / "day.txt").write_text("\n".join(days) + "\n", encoding="utf-8")
    lines = []
    for name, own in bars.sort_values("session").groupby("symbol"):
        at = np.searchsorted(calendar, own["session"].to_numpy())
        lines.append(f"{name}\t{days[at[0]]}\t{days[at[-1]]}")
        target = folder / "features" / str(name).lower()
        target.mkdir(parents=True, exist_ok=True)
        for field in FIELDS:
            values = np.full(at[-1] - at[0] + 1, np.nan)
            values[at - at[0]] = own[field].to_numpy(dtype=np.float64)
            np.concatenate([[at[0]], values]).astype("<f4").tofile(target / f"{field}.day.bin")
    if len(lines) != len(names):
        raise ValueError(f"{len(names)} symbols but {len(lines)} written")
    (folder / "instruments" / "all.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
