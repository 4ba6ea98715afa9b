"""Tables of a book: targets, orders, fills, positions, portfolio and what explains them."""

import dataframely as dy

from aurora_pipeline.contracts import column


class _Book(dy.Schema):
    book = column.key(column.BOOK)
    session = column.day(column.SESSION)


class Targets(_Book):
    """What the book wants to hold after a decision, and why."""

    symbol = column.key(column.SYMBOL)
    decision_time = column.time(column.DECISION, key=True)
    current_weight = column.number("held before the decision", "fraction of NAV")
    target_weight = column.number("wanted after it", "fraction of NAV")
    expected_return = column.maybe("the signal it was decided on", "fraction over the horizon")
    reason = column.text(
        "`enter`, `increase`, `reduce`, `exit`, `flip`, `hold_no_edge`, `hold`, or the limit that bound"
    )


class Orders(_Book):
    """Orders, valid for the bar after their decision; `session` is that bar's (the decision's if the order was rejected)."""

    order_id = column.key("deterministic: the same decision gives the same id")
    symbol = column.text(column.SYMBOL)
    instrument_id = column.text(column.INSTRUMENT)
    decision_time = column.time(column.DECISION)
    execute_by = column.time("end of the bar it may fill in")
    side = column.text("`buy` or `sell`")
    shares = column.number("whole shares", "shares", min_exclusive=0.0)
    reference_price = column.number("close at the decision", "USD/share")
    status = column.text("`filled`, `partial`, `expired`, `cancelled` or `rejected`")
    reason = column.text("why it was sent, or why it was not filled")


class Fills(_Book):
    """Executions with what was charged beside their price, and what their decision expected of them.

    A broker whose prices contain spread and impact has these charged as 0.
    """

    order_id = column.key("order it belongs to")
    symbol = column.text(column.SYMBOL)
    instrument_id = column.text(column.INSTRUMENT)
    decision_time = column.time("decision it came from")
    fill_time = column.time("end of the bar it filled in", key=True)
    side = column.text("`buy` or `sell`")
    shares = column.number("whole shares", "shares", min_exclusive=0.0)
    price = column.number("price before the costs charged beside it", "USD/share")
    spread_cost = column.number("half-spread", "USD", min=0.0)
    impact_cost = column.number("market impact", "USD", min=0.0)
    fee_cost = column.number("commissions and regulatory fees", "USD", min=0.0)
    reference_price = column.number("close at the decision, splits since included", "USD/share")
    forecast_spread = column.number("half-spread the decision expected for what was filled", "USD", min=0.0)
    forecast_impact = column.number("market impact it expected", "USD", min=0.0)
    forecast_fee = column.number("fees it expected, a sale's spread over both ways", "USD", min=0.0)
    forecast_drift = column.number("cost of the move the signal expected until the middle of the bar", "USD")


class Positions(_Book):
    """What the book holds at the end of a bar."""

    symbol = column.key(column.SYMBOL)
    instrument_id = column.text(column.INSTRUMENT)
    decision_time = column.time("bar end", key=True)
    shares = column.number("negative when short", "shares")
    price = column.number("last known close", "USD/share")
    weight = column.number("shares * price / NAV", "fraction of NAV")


class Portfolio(_Book):
    """The book's account at the end of each bar: nav[t] = nav[t-1] + gross_pnl - cost, to the cent."""

    decision_time = column.time("bar end", key=True)
    nav = column.number("cash plus market value", "USD")
    cash = column.number("negative when borrowed", "USD")
    gross = column.number("sum of absolute weights", "fraction of NAV")
    net = column.number("sum of weights", "fraction of NAV")
    turnover = column.number("sum of absolute trades / 2 / NAV of the bar before", "fraction of NAV")
    exempt_turnover = column.number(
        "part of turnover that reduced risk by force: outside the budgets", "fraction of NAV"
    )
    gross_pnl = column.number("price moves and dividends on what was held, before costs", "USD")
    cost = column.number("all costs of the bar", "USD")
    spread_cost = column.number("half-spread", "USD")
    impact_cost = column.number("market impact", "USD")
    fee_cost = column.number("fees", "USD")
    borrow_cost = column.number("borrow of shorts", "USD")
    forecast_volatility = column.maybe("ex-ante volatility of what is held, per session", "fraction of NAV")
    market_beta = column.number("ex-ante: exposure to the market factor", "fraction of NAV")


class Exposures(_Book):
    """What a book is exposed to at the end of a session."""

    session = column.day(column.SESSION, key=True)
    decision_time = column.time("end of the session's last bar")
    factor = column.key("`market`, a sector, a style, or `specific` for what is left")
    exposure = column.number("sum of weight * loading; gross exposure for `specific`", "fraction of NAV")
    variance_share = column.number(
        "share of the ex-ante variance; sums to 1 over the factors of a book that holds something", "fraction"
    )


class Attribution(_Book):
    """Result of a session by name: gross_pnl = alpha + residual; net is gross_pnl - cost."""

    session = column.day(column.SESSION, key=True)
    symbol = column.text(column.SYMBOL)
    instrument_id = column.key(column.INSTRUMENT)
    gross_pnl = column.number("price moves and dividends, before costs", "USD")
    alpha = column.number("expected by the signals of the decisions before each bar, on what was held", "USD")
    cost = column.number("spread, impact, fees and borrow", "USD", min=0.0)
    residual = column.number("gross_pnl - alpha: what nobody expected", "USD")
    variance_share = column.number("share of the book's ex-ante variance at the end of the session", "fraction")
    confidence = column.number(
        "absolute expected return over specific volatility of the same span, at the last decision", "ratio"
    )


class AlphaForgone(_Book):
    """What each limit withheld at the last decision of a session, every other limit staying in force."""

    decision_time = column.time(column.DECISION, key=True)
    limit = column.key("limit that was lifted")
    forgone = column.number(
        "value of the decision without it less the value of the one taken", "fraction of NAV", min=0.0
    )
    holding_sessions = column.number("span the value is over", "sessions")


class Events(_Book):
    """What went wrong or was withheld in a session, with the safe action taken; the first of each kind and name."""

    session = column.day(column.SESSION, key=True)
    decision_time = column.time("first moment")
    event = column.key("code, see `aurora_pipeline.execution.events`")
    name = column.key("instrument, empty for the whole book")
    times = column.count("how often in the session")
    action = column.text("what was done")
    detail = column.text("what was found the first time")
