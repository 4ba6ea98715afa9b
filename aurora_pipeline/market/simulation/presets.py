"""What can be simulated: the presets, the sectors with their funds, and the checks of every argument.

Spans are counts of exchange sessions; a preset's last session is `END`. Profiles set how strong the planted alpha is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from aurora_pipeline.calendar import Frequency
from aurora_pipeline.errors import MarketDataError

END = date(2024, 12, 31)
BENCHMARK = "SPY"

# Sector -> (SPDR fund, three-letter stock prefix, share of the universe, beta of the fund, annual volatility of the
# sector factor after the market). Betas and volatilities are those of the real funds, 2021-2026, rounded.
SECTORS: dict[str, tuple[str, str, int, float, float]] = {
    "Information Technology": ("XLK", "TEC", 20, 1.30, 0.10),
    "Financials": ("XLF", "FIN", 17, 0.90, 0.11),
    "Health Care": ("XLV", "HLT", 15, 0.60, 0.11),
    "Consumer Discretionary": ("XLY", "DIS", 14, 1.20, 0.11),
    "Industrials": ("XLI", "IND", 14, 0.90, 0.09),
    "Communication Services": ("XLC", "COM", 10, 1.00, 0.11),
    "Consumer Staples": ("XLP", "STA", 10, 0.45, 0.11),
    "Energy": ("XLE", "ENE", 8, 0.75, 0.22),
    "Utilities": ("XLU", "UTL", 8, 0.50, 0.15),
    "Materials": ("XLB", "MAT", 7, 0.90, 0.12),
    "Real Estate": ("XLRE", "REA", 7, 0.75, 0.14),
}

# Share of the full alpha each profile plants; `modest` was set by the calibration table in docs/reference-market.md.
PROFILES = {"full": 1.0, "modest": 0.305}


@dataclass(frozen=True)
class Preset:
    """One kind of market.

    Parameters
    ----------
    stocks : int
        Stocks at the start; one is delisted on the way.
    max_sectors : int
        Largest number of sectors; every sector holds at least seven stocks where `stocks` allows it.
    sessions : int
        Sessions with decisions: 5-minute bars at frequency ``5min``, daily bars at ``session``.
    warmup : int
        Sessions of daily bars before them.
    frequency : {'5min', 'session'}
        Decision frequency.
    horizon : int
        Label length in bars.
    """

    stocks: int
    max_sectors: int
    sessions: int
    warmup: int
    frequency: Frequency
    horizon: int

    @property
    def bars_per_session(self) -> int:
        """Bars of a full session: 78 at ``5min``, 1 at ``session``."""
        return 78 if self.frequency == "5min" else 1


PRESETS: dict[str, Preset] = {
    "reference": Preset(130, 11, 160, 504, "5min", 78),
    "reference-long": Preset(130, 11, 750, 504, "session", 5),
    "small": Preset(40, 4, 100, 252, "5min", 78),
}

# Scale of the alpha: ratio of the standard deviation of the expected residual return over one horizon to the
# forecastable residual volatility over that horizon. Calibrated with
# `python -m aurora_pipeline.market.simulation.calibrate --seeds 1-10` so that the mean rank IC of the oracle,
# measured against residual labels computed from the written folder, is 0.15; the table is in
# docs/reference-market.md.
ALPHA_SCALE: dict[Frequency, float] = {"5min": 0.144, "session": 0.1505}


def resolve_preset(
    preset: str, *, seed: int, alpha: float, profile: str, sessions: int | None, symbols: int | None
) -> Preset:
    """Return the preset with its overrides applied; an impossible argument raises MarketDataError naming it."""
    if preset not in PRESETS:
        raise MarketDataError(f"preset {preset!r} does not exist; expected one of {', '.join(PRESETS)}")
    if profile not in PROFILES:
        raise MarketDataError(f"profile {profile!r} does not exist; expected one of {', '.join(PROFILES)}")
    if seed < 0:
        raise MarketDataError(f"seed must be 0 or larger, got {seed}")
    if not 0.0 <= alpha <= 2.0:
        raise MarketDataError(f"alpha must lie between 0 (nothing planted) and 2, got {alpha}")
    chosen = PRESETS[preset]
    if sessions is not None:
        if not 5 <= sessions <= 2500:
            raise MarketDataError(f"sessions must lie between 5 and 2500, got {sessions}")
        chosen = replace(chosen, sessions=sessions)
    if symbols is not None:
        if not 8 <= symbols <= 2000:
            raise MarketDataError(f"symbols must lie between 8 and 2000, got {symbols}")
        chosen = replace(chosen, stocks=symbols)
    return chosen


def stocks_per_sector(preset: Preset) -> dict[str, int]:
    """Return how many stocks each simulated sector holds, largest sectors first."""
    count = min(preset.max_sectors, len(SECTORS), max(1, preset.stocks // 8))
    names = list(SECTORS)[:count]
    shares = [SECTORS[name][2] if count == len(SECTORS) else 1 for name in names]
    total = sum(shares)
    sizes = [preset.stocks * share // total for share in shares]
    for index in range(preset.stocks - sum(sizes)):
        sizes[index % count] += 1
    return dict(zip(names, sizes, strict=True))
