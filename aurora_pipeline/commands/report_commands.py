"""`aurora report`: what is stored, written up."""

from __future__ import annotations

import typer
from rich.table import Table

from aurora_pipeline.commands import dashboard_commands
from aurora_pipeline.commands.terminal import HomeOption, existing_home, out, print_table

report = typer.Typer(
    help="Write up what is stored: a day, a week, the models, the dashboard as a file.", no_args_is_help=True
)


@report.callback()
def reports() -> None:
    """Write up what is stored: a day, a week, the models, the dashboard as a file."""


@report.command()
def models(home: HomeOption = None) -> None:
    """Compare families, ensemble and baselines: IC, decay, turnover, sectors, regimes, cost, overfitting."""
    from aurora_pipeline.defs.instances import instance_of
    from aurora_pipeline.defs.stored_costs import stored_costs
    from aurora_pipeline.monitoring.model_comparison_report import HEADLINE, comparison_remarks, comparison_summary
    from aurora_pipeline.monitoring.text_table import cell
    from aurora_pipeline.reports.comparisons import run_model_comparison

    opened = existing_home(home)
    costs = {}
    if opened.path.joinpath("dagster.yaml").exists():  # a home that was never run stays as it is
        with instance_of(opened) as instance:
            costs = stored_costs(instance, opened.settings().models.families)
    found = run_model_comparison(opened, costs)
    out.print(found.title, style="bold", highlight=False)
    summary = comparison_summary(found.table, costs).drop("kind")
    table = Table(*(HEADLINE[name] for name in summary.columns))
    for column in table.columns:
        column.no_wrap = column.header in {"model", "95 % by t", "95 % bootstrap"}
    for row in summary.iter_rows():
        table.add_row(*(cell(value) for value in row))
    print_table(table)
    for remark in (*comparison_remarks(found.table), *found.notes):
        out.print(f"- {remark}", highlight=False)
    out.print(f"page  {found.page}\nplot  {found.plot}", highlight=False)


report.command(name="dashboard")(dashboard_commands.write)
report.command()(dashboard_commands.day)
report.command()(dashboard_commands.week)
