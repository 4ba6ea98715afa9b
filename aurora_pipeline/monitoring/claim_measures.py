"""How each claim is measured from what is stored: one function per measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from aurora_pipeline.calendar import SESSIONS_PER_YEAR
from aurora_pipeline.monitoring.claim_types import NO_RUN, ClaimInputs, Measured
from aurora_pipeline.monitoring.information_coefficient import mean_with_interval
from aurora_pipeline.monitoring.session_ics import ENSEMBLE, EQUAL_WEIGHT
from aurora_pipeline.monitoring.signal_quality import STABILITY_SESSIONS, WHOLE

FEWEST_MODELS = 2
MEAN_OF_FAMILIES = "mean of the families"
_NO_STATES = "no model states are stored; it takes a run of the lifecycle over a market that changes"
REAL_ONLY = "the market has no planted truth; it takes a synthetic market (`aurora simulate`)"


def feature_count(inputs: ClaimInputs) -> Measured:
    """Features in the newest audit."""
    audit = inputs.feature_audit
    if audit.is_empty():
        return Measured(missing="no feature audit is stored; it takes one trained fold")
    missing = audit.get_column("unavailable").count()
    beside = f"{missing} of them cannot be had from this market" if missing else ""
    return Measured(float(audit.height), beside=beside)


def view_count(inputs: ClaimInputs) -> Measured:
    """Views with a feature this market can give."""
    audit = inputs.feature_audit.filter(pl.col("unavailable").is_null())
    if audit.is_empty():
        return Measured(missing="no feature audit is stored; it takes one trained fold")
    return Measured(float(audit.get_column("view").n_unique()))


def feature_likeness(inputs: ClaimInputs) -> Measured:
    """Largest correlation of two signal features."""
    audit = inputs.feature_audit.filter(pl.col("role") == "signal")
    largest = audit.get_column("nearest_correlation").max()
    if largest is None:
        return Measured(missing="no feature audit is stored; it takes one trained fold")
    return Measured(float(largest))  # type: ignore[arg-type]


def orthogonal_features(inputs: ClaimInputs) -> Measured:
    """Fundamental and alternative features with verdict `alpha`."""
    audit = inputs.feature_audit.filter(pl.col("view").is_in(["fundamental", "alternative"]))
    if audit.is_empty():
        return Measured(missing="no feature audit is stored; it takes one trained fold")
    return Measured(float((audit.get_column("verdict") == "alpha").sum()), beside=f"of {audit.height} such features")


def family_count(inputs: ClaimInputs) -> Measured:
    """Families with stored predictions."""
    count = inputs.predictions.get_column("model").n_unique()
    return Measured(float(count)) if count else Measured(missing=NO_RUN)


def _estimate(estimate: Mapping[str, Any] | None, needed: str = "5 matured sessions") -> Measured:
    if not estimate or estimate["mean"] is None:
        return Measured(missing=f"nothing has matured; it takes {needed}")
    if estimate["lower"] is None:
        return Measured(missing=f"{estimate['sessions']} matured session(s); it takes {needed}")
    return Measured(estimate["mean"], estimate["lower"], estimate["upper"], beside=f"{estimate['sessions']} sessions")


def ensemble_ic(inputs: ClaimInputs) -> Measured:
    """Mean rank IC of the ensemble."""
    return _estimate(inputs.card.get("signal", {}).get("rank_ic"))


def ensemble_gain(inputs: ClaimInputs, over: str) -> Measured:
    """Paired difference of session ICs: ensemble less the mean of the families, or less another series."""
    families = inputs.predictions.get_column("model").n_unique()
    if families < FEWEST_MODELS:
        return Measured(missing=f"{families} families are stored; it takes {FEWEST_MODELS}")
    return _estimate(mean_with_interval(_gain_series(inputs, over)).as_dict())


def weighting_t(inputs: ClaimInputs) -> Measured:
    """T of what IC weights add to equal weights; 0 where the two are the same in every session."""
    gains = _gain_series(inputs, EQUAL_WEIGHT)
    if len(gains) and not gains.any():
        return Measured(0.0, beside="the same in every session")
    estimate = mean_with_interval(gains)
    if estimate.t is None or estimate.lower is None:
        return _estimate(estimate.as_dict())
    return Measured(estimate.t, beside=f"difference {estimate.mean:.5f}, {estimate.lower:.5f} to {estimate.upper:.5f}")


def _gain_series(inputs: ClaimInputs, over: str) -> npt.NDArray[np.float64]:
    wide = inputs.session_ics.pivot("series", index="session", values="ic").sort("session")
    families = inputs.predictions.get_column("model").unique().sort().to_list()
    if ENSEMBLE not in wide.columns or (over != MEAN_OF_FAMILIES and over not in wide.columns):
        return np.empty(0)
    against = wide.select(families if over == MEAN_OF_FAMILIES else [over]).to_numpy()
    # In numpy: polars' horizontal mean adds columns in whatever order they are ready, and the last bit depends on it.
    known = ~np.isnan(against)
    count = known.sum(axis=1)
    other = np.where(known, against, 0.0).sum(axis=1) / np.where(count > 0, count, np.nan)
    gains = wide.get_column(ENSEMBLE).to_numpy() - other
    return np.asarray(gains[~np.isnan(gains)])


def _book(inputs: ClaimInputs) -> Mapping[str, Any]:
    book: Mapping[str, Any] = inputs.card.get("book", {})
    return book


def sharpe_ratio(inputs: ClaimInputs) -> Measured:
    """Sharpe ratio, net."""
    book = _book(inputs)
    if book.get("sharpe") is None or book.get("sharpe_lower") is None:
        return Measured(missing=f"{book.get('sessions', 0)} traded session(s); it takes 20")
    beside = f"{book['sessions']} sessions, net of costs"
    return Measured(book["sharpe"], book["sharpe_lower"], book["sharpe_upper"], beside=beside)


def largest_drawdown(inputs: ClaimInputs, name: str, limit: float) -> Measured:
    """Largest drawdown; too few sessions can break the limit but not keep it."""
    book = _book(inputs)
    value, sessions = book.get(name), int(book.get("sessions", 0))
    if value is None:
        return Measured(missing="no book is stored; it takes a year of traded sessions")
    if sessions < SESSIONS_PER_YEAR and value <= limit:
        return Measured(
            missing=f"{100 * value:.2f} % in {sessions} sessions, but a largest loss grows with time; "
            f"it takes {SESSIONS_PER_YEAR} sessions"
        )
    return Measured(value, beside=f"{sessions} sessions")


def _whole(inputs: ClaimInputs) -> dict[str, Any]:
    whole = inputs.signal_quality.filter(pl.col("kind") == WHOLE)
    return whole.row(0, named=True) if whole.height else {}


def stability_of_ic(inputs: ClaimInputs) -> Measured:
    """IC stability."""
    row = _whole(inputs)
    if row.get("ic_stability") is None:
        count = row.get("matured_sessions", 0)
        return Measured(missing=f"{count} matured session(s); it takes two stretches of {STABILITY_SESSIONS}")
    beside = f"sampling floor {row['ic_floor']:.3f} taken out"
    return Measured(row["ic_stability"], row["ic_stability_lower"], row["ic_stability_upper"], beside=beside)


def error_of_calibration(inputs: ClaimInputs) -> Measured:
    """Calibration error with the interval given."""
    error = _whole(inputs).get("calibration_error")
    if error is None:
        return Measured(missing="no calibrated row has matured; it takes one")
    lower, upper = inputs.calibration_interval or (None, None)
    return Measured(error, lower, upper)


def slope_of_calibration(inputs: ClaimInputs) -> Measured:
    """Calibration slope."""
    row = _whole(inputs)
    if row.get("slope_lower") is None:
        return Measured(missing="too few calibrated sessions have matured; it takes 5")
    text = f"95 % interval {row['slope_lower']:.2f} to {row['slope_upper']:.2f}, printed and not held against the range"
    return Measured(row["slope"], beside=text)


def interval_coverage(inputs: ClaimInputs, level: int) -> Measured:
    """Coverage of one interval."""
    value = _whole(inputs).get(f"coverage_{level}")
    return Measured(missing="no calibrated row has matured; it takes one") if value is None else Measured(value)


def truth_correlation(inputs: ClaimInputs) -> Measured:
    """Correlation with the planted truth."""
    value = inputs.card.get("signal", {}).get("correlation_with_truth")
    if value is None:
        return Measured(missing=REAL_ONLY if inputs.market_kind == "real" else NO_RUN)
    return Measured(value, beside="every session after the warm-up")


def kept_alpha(inputs: ClaimInputs) -> Measured:
    """Share of gross P&L left after costs."""
    book = _book(inputs)
    kept = book.get("alpha_kept")
    if not isinstance(kept, float):
        interval = book.get("gross_return_interval")
        why = f"{book.get('sessions', 0)} traded session(s); it takes 20"
        if interval:
            why = (
                f"gross P&L cannot be told from 0 (95 % interval {100 * interval[0]:.2f} to {100 * interval[1]:.2f} % of NAV in "
                f"{book['sessions']} sessions); {_sample_until_positive(book['gross_return'], interval, book['sessions'])}"
            )
        return Measured(missing=why)
    return Measured(kept, book["alpha_kept_lower"], book["alpha_kept_upper"])


def _sample_until_positive(total: float, interval: list[float], sessions: int) -> str:
    """Sessions after which the interval would leave 0 if the mean stayed what it was: it narrows with the square root."""
    if total <= 0.0:
        return "it takes a book whose gross P&L is positive"
    half = (interval[1] - interval[0]) / 2.0
    return f"at this mean it takes about {int(np.ceil(sessions * (half / total) ** 2))} sessions"


def capital_utilisation(inputs: ClaimInputs) -> Measured:
    """Mean gross exposure after the build."""
    used = inputs.portfolio.filter(pl.col("gross").cum_max() > 0.0)
    sessions = used.get_column("session").n_unique()
    if sessions <= inputs.build_sessions:
        return Measured(
            missing=f"{sessions} traded session(s); it takes more than the {inputs.build_sessions} of the build"
        )
    built = used.filter(pl.col("session").rank("dense") > inputs.build_sessions)
    return Measured(float(built.get_column("gross").mean()), beside=f"cap {100 * inputs.utilisation_cap:.0f} %")  # type: ignore[arg-type]


def largest_turnover(inputs: ClaimInputs, window: int) -> Measured:
    """Largest turnover of any `window` sessions after the build, forced reductions taken out."""
    bars = inputs.portfolio.sort("decision_time").filter(pl.col("gross").cum_max() > 0.0)
    by_session = bars.group_by("session", maintain_order=True).agg(
        (pl.col("turnover") - pl.col("exempt_turnover")).sum().alias("turnover")
    )
    values = by_session.get_column("turnover").to_numpy()[inputs.build_sessions :]
    if len(values) < window:
        return Measured(missing=f"{len(values)} session(s) after the build; it takes {window}")
    sums = np.convolve(values, np.ones(window), "valid")
    return Measured(float(sums.max()), beside=f"largest of {len(sums)} windows, mean {100 * sums.mean():.1f} %")


def promotions_by_test(inputs: ClaimInputs) -> Measured:
    """Challengers in shadow that a test made champion; a champion that comes back from probation is none."""
    if inputs.model_states.is_empty():
        return Measured(missing=_NO_STATES)
    changed = _changes(inputs.model_states).filter(state="champion")
    promoted = changed.filter(pl.col("before") == "shadow", pl.col("decided_by") == "test")
    back = changed.filter(
        pl.col("before").is_in(["probation", "retired"]), pl.col("decided_by").is_in(["gate", "test"])
    )
    return Measured(float(promoted.height), beside=f"not counted: {back.height} back from probation or a gate")


def automatic_retirements(inputs: ClaimInputs) -> Measured:
    """Models that a test or a gate retired, those a promoted challenger replaced among them."""
    if inputs.model_states.is_empty():
        return Measured(missing=_NO_STATES)
    gone = _changes(inputs.model_states).filter(
        pl.col("state") == "retired", pl.col("decided_by").is_in(["gate", "test"])
    )
    replaced = gone.filter(pl.col("reason").str.starts_with("replaced by ")).height
    return Measured(float(gone.height), beside=f"{replaced} replaced by a challenger")


def _changes(model_states: pl.DataFrame) -> pl.DataFrame:
    """Rows in which a model's state is another than in the session before, with that one as `before`."""
    ordered = model_states.sort("model", "session")
    return ordered.with_columns(pl.col("state").shift().over("model").alias("before")).filter(
        pl.col("state").ne_missing(pl.col("before"))
    )


def phases_that_add(inputs: ClaimInputs) -> Measured:
    """Phases whose gain in net return over the one before has its whole interval above 0."""
    phases = (inputs.ablation or {}).get("phases", [])[1:]
    if not phases:
        return Measured(missing="no ablation of the phases is stored; it takes `aurora ablate`")
    told = [phase for phase in phases if phase["net_gain_lower"] is not None]
    if not told:
        return Measured(missing=f"{phases[0]['sessions']} scored session(s); an interval takes 20")
    adds = [phase["phase"] for phase in told if phase["net_gain_lower"] > 0.0]
    costs = [phase["phase"] for phase in told if phase["net_gain_upper"] < 0.0]
    beside = f"of {len(phases)} phases over {phases[0]['sessions']} sessions: {', '.join(adds) or 'none'}"
    return Measured(float(len(adds)), beside=f"{beside}; {', '.join(costs) or 'none'} take away")


def decision_interval(inputs: ClaimInputs) -> Measured:
    """Smallest distance of two decision times, minutes."""
    times = inputs.ensemble.get_column("decision_time").unique().sort()
    gaps = times.diff().drop_nulls()
    if gaps.is_empty():
        return Measured(missing=NO_RUN)
    return Measured(float(gaps.min().total_seconds()) / 60.0)  # type: ignore[union-attr]


def null_rejections(inputs: ClaimInputs) -> Measured:
    """Share of markets without alpha that show one."""
    null = [market for market in (inputs.proof_pipeline or {}).get("markets", []) if market["alpha"] == "none"]
    if len(null) < 20:
        return Measured(missing=f"{len(null)} markets without alpha are kept; it takes 20")
    return Measured(sum(market["rejects"] for market in null) / len(null), beside=f"{len(null)} markets")


def scorer_rejections(inputs: ClaimInputs) -> Measured:
    """Rejection rate of the IC's test, furthest from nominal."""
    designs = (inputs.proof_scorer or {}).get("designs", [])
    if not designs or min(design["seeds"] for design in designs) < 400:
        return Measured(missing="fewer than 400 seeds are kept; it takes 400")
    worst = max(designs, key=lambda design: abs(design["rejection_rate"] - 0.05))
    return Measured(worst["rejection_rate"], beside=f"furthest from 5 % of {len(designs)} designs")
