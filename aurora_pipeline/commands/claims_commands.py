"""`aurora claims`: every promise of the plan against what this home has stored."""

from __future__ import annotations

from rich.table import Table

from aurora_pipeline.commands.terminal import HomeOption, existing_home, out, print_table, verdict

COLOURS = {"met": "green", "not met": "red", "not testable": "yellow"}


def claims(home: HomeOption = None) -> None:
    """Build the claim ledger from what is stored and print it; nothing is run."""
    from aurora_pipeline.monitoring.claims_page import claim_cells, claims_title
    from aurora_pipeline.reports.claim_report import store_claims

    ledger, pages = store_claims(existing_home(home))
    out.print(claims_title(ledger), style="bold", highlight=False)
    table = Table("claim", "plan", "measured", "95 % interval", "verdict", "what it rests on")
    for row in ledger.iter_rows(named=True):
        claim, plan, measured, span, found, reason = claim_cells(row)[:6]
        table.add_row(claim, plan, measured, span, verdict(found, COLOURS[found]), reason)
    print_table(table)
    for page in pages:
        out.print(f"page  {page}", highlight=False)
