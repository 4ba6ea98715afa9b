"""The claim ledger: every promise of the plan, what it means here, what was measured, and the verdict.

In go the tables and reports a home has stored (:class:`~aurora_pipeline.monitoring.claim_types.ClaimInputs`), nothing is run; out
comes table `claims`. A verdict is

- `met` where the measured value reaches the promise and, if the value has a 95 % interval, the end of the interval that is less
  favourable does too: a Sharpe ratio of 3 whose interval begins at 1 has not been shown to be 2.5;
- `not met` where it does not;
- `not testable` only where nothing that could decide it is stored or the sample is too small, with the reason and the sample it
  would take.
"""

from __future__ import annotations

import polars as pl

from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.claim_promises import PROMISES
from aurora_pipeline.monitoring.claim_types import ClaimInputs, shown, verdict_of

OTHER = "other"
"""Market of a promise that only a synthetic market can decide, where the home's is real."""


def claim_ledger(inputs: ClaimInputs) -> pl.DataFrame:
    """Hold everything stored against every promise.

    Returns
    -------
    polars.DataFrame
        Table `claims`, in the order of the plan.
    """
    rows = []
    for promise, measure in PROMISES:
        measured = measure(inputs)
        verdict, reason = verdict_of(promise, measured)
        kind = promise.market_kind or inputs.market_kind
        rows.append(
            {
                "claim_id": promise.claim_id,
                "claim": promise.claim,
                "definition": promise.definition,
                "plan": promise.plan,
                "measured": None if verdict == "not testable" else shown(measured.value, promise.unit),
                "value": None if verdict == "not testable" else measured.value,
                "lower": None if verdict == "not testable" else measured.lower,
                "upper": None if verdict == "not testable" else measured.upper,
                "market": _market(kind, inputs),
                "market_kind": kind,
                "verdict": verdict,
                "reason": reason,
                "command": promise.command,
            }
        )
    return pl.DataFrame(rows, schema=empty("claims").schema)


def _market(kind: str, inputs: ClaimInputs) -> str:
    if kind == "any":
        return "none"
    return inputs.market if kind == inputs.market_kind else OTHER


def claims_headline(claims: pl.DataFrame) -> dict[str, int]:
    """Count the verdicts."""
    verdicts = claims.get_column("verdict")
    return {name.replace(" ", "_"): int((verdicts == name).sum()) for name in ("met", "not met", "not testable")}
