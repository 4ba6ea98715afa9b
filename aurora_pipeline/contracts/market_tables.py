"""Tables of the market and its feeds: universe, bars, quarantine, filings, residual returns."""

import dataframely as dy
import polars as pl

from aurora_pipeline.contracts import column

REPORTED_KEY = ("symbol", "known_at", "fiscal_period_end")
"""What identifies a version of what a company reported: several periods may be told at one moment."""


class _Instrument(dy.Schema):
    symbol = column.key(column.SYMBOL)
    instrument_id = column.text(column.INSTRUMENT)


class Universe(dy.Schema):
    """Who could be traded on a session, from what was known before it."""

    session = column.day(column.SESSION, key=True)
    symbol = column.key(column.SYMBOL)
    instrument_id = column.text(column.INSTRUMENT)
    kind = column.text("`stock` or `etf`")
    sector = column.text("sector of the session; null if unknown", nullable=True)
    eligible = column.flag("stock inside its validity interval with enough sound history")
    reason = column.text("why it is not eligible", nullable=True)


class _Prices(_Instrument):
    session = column.day(column.SESSION)
    open = column.number("first price", "USD/share", min_exclusive=0.0)
    high = column.number("highest price", "USD/share", min_exclusive=0.0)
    low = column.number("lowest price", "USD/share", min_exclusive=0.0)
    close = column.number("last price", "USD/share", min_exclusive=0.0)
    volume = column.number("shares traded", "shares", min=0.0)
    known_at = column.time(column.KNOWN, key=True)
    quarantined_at = column.time(column.VERDICT, nullable=True)


class Bars(_Prices):
    """Bars of the decision frequency; at frequency `session` the session's daily bar."""

    bar_start = column.time("start of the bar, inclusive")
    bar_end = column.time("end of the bar, exclusive: a decision time", key=True)
    vwap = column.maybe("volume-weighted average price", "USD/share")
    trade_count = column.maybe("number of trades", "count")
    flat = column.flag("zero volume and open = high = low = close: valid, nobody traded")


class DailyBars(_Prices):
    """Session bars of the feed, all history, versions included."""

    session = column.day(column.SESSION, key=True)


class Quarantine(dy.Schema):
    """Rows that were refused, each with its reason; the row itself is kept as JSON."""

    session = column.day("session in which the row would have been used")
    source = column.key("file the row came from, such as `bars` or `earnings`")
    row_id = column.key("hash of the raw row and its position among equal rows")
    symbol = column.text("symbol as the file has it", nullable=True)
    row_time = column.time("bar start, known_at or date of the row", nullable=True)
    reason = column.key("short code, such as `high_below_low`")
    detail = column.text("what was found and what was expected")
    row = column.text("the raw row as JSON")
    known_at = column.time("moment the verdict was known")


class DataQuality(dy.Schema):
    """One row per session and symbol: what was expected and what came."""

    session = column.day(column.SESSION, key=True)
    symbol = column.key(column.SYMBOL)
    expected_bars = column.count("bars the calendar has while the symbol is listed")
    present_bars = column.count("distinct bars accepted")
    missing_bars = column.count("expected minus present")
    missing = column.text("absent bar starts, comma separated UTC HH:MM", nullable=True)
    flat_bars = column.count("valid bars without a trade")
    corrected_bars = column.count("bars with more than one version")
    quarantined_bars = column.count("bars in quarantine")
    reasons = column.text("quarantine reasons with counts", nullable=True)


class CorporateActions(_Instrument):
    """Splits, dividends, renames and delistings."""

    ex_date = column.day("first session without the entitlement", key=True)
    kind = column.key("split | dividend | rename | delist")
    known_at = column.time(column.KNOWN, key=True)
    ratio = column.maybe("new shares per old share (split)", "shares/share", min_exclusive=0.0)
    amount = column.maybe("cash per share (dividend; what a delisting pays, the last price if missing)", "USD/share")
    new_symbol = column.text("symbol from ex_date on (rename)", nullable=True)


class _Reported(dy.Schema):
    """What companies report of a period; the period is part of the key and may be unknown, which a primary key may not be."""

    symbol = column.text(column.SYMBOL)
    instrument_id = column.text(column.INSTRUMENT)

    @dy.rule()
    def one_row_per_period_and_moment(cls) -> pl.Expr:  # noqa: N805
        return pl.struct(REPORTED_KEY).is_unique()


class Earnings(_Reported):
    """Announced earnings per share."""

    known_at = column.time("announcement")
    fiscal_period_end = column.day("end of the reported period", nullable=True)
    eps_estimate = column.maybe("consensus before the announcement", "USD/share")
    eps_actual = column.maybe("reported", "USD/share")


class Fundamentals(_Reported):
    """Quarterly filings."""

    known_at = column.time("filing")
    fiscal_period_end = column.day("end of the reported period", nullable=True)
    revenue = column.maybe("quarterly", "USD")
    gross_profit = column.maybe("quarterly", "USD")
    operating_income = column.maybe("quarterly", "USD")
    net_income = column.maybe("quarterly", "USD")
    total_assets = column.maybe("at period end", "USD")
    total_debt = column.maybe("at period end", "USD")
    stockholders_equity = column.maybe("at period end", "USD")
    operating_cash_flow = column.maybe("quarterly", "USD")
    capital_expenditure = column.maybe("quarterly, positive", "USD")
    shares_outstanding = column.maybe("at period end", "shares")


class ShortInterest(_Instrument):
    """Bi-monthly short interest."""

    settlement_date = column.day("date of the positions", key=True)
    known_at = column.time("publication", key=True)
    shares_short = column.number("shares sold short", "shares", min=0.0)
    avg_daily_volume = column.maybe("as published", "shares")


class Borrow(_Instrument):
    """Lending rates of stocks; an optional feed of ours."""

    known_at = column.time("quotation", key=True)
    rate = column.maybe("yearly rate on a short from then on; null where nobody lends", "fraction a year", min=0.0)


class EtfFlows(_Instrument):
    """Daily creations and redemptions of ETFs."""

    date = column.day("day of the flow", key=True)
    known_at = column.time(column.KNOWN, key=True)
    net_flow_usd = column.number("creations minus redemptions", "USD")
    shares_outstanding = column.maybe("of the ETF", "shares")
    nav = column.maybe("net asset value per share", "USD/share")


class Options(_Instrument):
    """Daily option summary per underlying."""

    date = column.day("trading day", key=True)
    known_at = column.time(column.KNOWN, key=True)
    iv_30d = column.maybe("30-day at-the-money implied volatility", "fraction, annualised")
    hv_30d = column.maybe("30-day historical volatility", "fraction, annualised")
    iv_call_25d = column.maybe("25-delta call implied volatility", "fraction, annualised")
    iv_put_25d = column.maybe("25-delta put implied volatility", "fraction, annualised")
    put_volume = column.maybe("contracts", "contracts")
    call_volume = column.maybe("contracts", "contracts")
    put_open_interest = column.maybe("contracts", "contracts")
    call_open_interest = column.maybe("contracts", "contracts")


class ResidualReturns(_Instrument):
    """Return of each bar split into market, sector and residual; the first bar of a session contains the night."""

    session = column.day(column.SESSION)
    bar_end = column.time("end of the bar", key=True)
    known_at = column.time(column.KNOWN, key=True)
    bar_return = column.number("total return since the last known close", "fraction")
    market_return = column.number("benchmark's return over the same span", "fraction")
    sector_return = column.number("sector's return over the same span, orthogonal to the market", "fraction")
    beta_market = column.number("exponentially weighted, shrunk, through the session before", "dimensionless")
    beta_sector = column.number("beta to sector_return; 0 where market_only", "dimensionless")
    residual_return = column.number(
        "bar_return - beta_market * market_return - beta_sector * sector_return", "fraction"
    )
    market_only = column.flag("no sector ETF and fewer than 3 peers")
    quarantined_at = column.time("moment the bar behind the row was withdrawn; null while sound", nullable=True)
