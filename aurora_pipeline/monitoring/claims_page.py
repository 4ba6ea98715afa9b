"""The claim ledger for people: one table as markdown and as a page of HTML that needs nothing else."""

from __future__ import annotations

from html import escape

import polars as pl

from aurora_pipeline.monitoring.claim_types import shown
from aurora_pipeline.monitoring.claims import OTHER, claims_headline
from aurora_pipeline.monitoring.dashboard.page import text_html
from aurora_pipeline.monitoring.text_table import markdown_table

COLUMNS = (
    "claim",
    "plan",
    "measured",
    "95 % interval",
    "verdict",
    "what it rests on",
    "measured as",
    "market",
    "command",
)
_COLOURS = {"met": "#1b7f3b", "not met": "#b3261e", "not testable": "#6b6b6b"}
_MARKETS = {"none": "none needed", OTHER: "a synthetic one, not this"}
_STYLE = (
    "body{font:14px/1.45 system-ui,sans-serif;margin:2rem;color:#1c1c1c}"
    "table{border-collapse:collapse}th,td{border:1px solid #d0d0d0;padding:.35rem .6rem;text-align:left;vertical-align:top}"
    "th{background:#f2f2f2;position:sticky;top:0}code{font-size:12px}"
    "td:nth-child(2),td:nth-child(3),td:nth-child(4){white-space:nowrap}"
)


def claim_cells(row: dict[str, object]) -> tuple[str, ...]:
    """Cells of one claim, in the order of :data:`COLUMNS`."""
    lower, upper = row["lower"], row["upper"]
    unit = (
        "percent"
        if "%" in str(row["plan"])
        else "ic"
        if isinstance(row["value"], float) and abs(row["value"]) < 1
        else ""
    )
    span = (
        f"{shown(lower, unit)} to {shown(upper, unit)}" if isinstance(lower, float) and isinstance(upper, float) else ""
    )
    market = _MARKETS.get(str(row["market"]), f"{row['market']} ({row['market_kind']})")
    return (
        str(row["claim"]),
        str(row["plan"]),
        str(row["measured"] or "-"),
        span,
        str(row["verdict"]),
        str(row["reason"]),
        str(row["definition"]),
        market,
        f"`{row['command']}`",
    )


def claims_title(claims: pl.DataFrame) -> str:
    """Heading that says where the numbers are from and how the verdicts fell."""
    market, kind = claims.filter(pl.col("market") != "none").select("market", "market_kind").row(0)
    label = " (SYNTHETIC)" if kind == "synthetic" else ""
    counts = claims_headline(claims)
    return (
        f"Claims on {market}{label}: {counts['met']} met, {counts['not_met']} not met, "
        f"{counts['not_testable']} not testable"
    )


def claims_markdown(claims: pl.DataFrame) -> str:
    """Write the table as markdown."""
    table = markdown_table(COLUMNS, map(claim_cells, claims.iter_rows(named=True)))
    return "\n".join([f"# {claims_title(claims)}", "", *table]) + "\n"


def claims_html(claims: pl.DataFrame) -> str:
    """Write the table as one HTML page."""
    title = escape(claims_title(claims))
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in COLUMNS)
    body = []
    for row in claims.iter_rows(named=True):
        cells = []
        for column, cell in zip(COLUMNS, claim_cells(row), strict=True):
            text = text_html(cell)
            if column == "verdict":
                text = f'<b style="color:{_COLOURS[cell]}">{text}</b>'
            cells.append(f"<td>{text}</td>")
        body.append("<tr>" + "".join(cells) + "</tr>")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head>'
        f"<body><h1>{title}</h1><table><thead><tr>{head}</tr></thead><tbody>\n"
        + "\n".join(body)
        + "\n</tbody></table></body></html>\n"
    )
