"""`aurora prove`: the pipeline on markets of known alpha, or the IC's own test on simulated nulls."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.table import Table

from aurora_pipeline.commands.terminal import (
    HomeOption,
    SetOption,
    opened_home,
    out,
    print_table,
    progress_bars,
    verdict,
)
from aurora_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from aurora_pipeline.monitoring.proof_verdicts import ProvenMarket

FINISHED_MARKETS = "proof_markets"
"""Folder below a home's reports."""


def prove(
    seeds: Annotated[str, typer.Option(help="first-last")] = "1-2",
    alpha: Annotated[str, typer.Option(help="Any of none, modest, full; comma separated.")] = "none,modest,full",
    preset: Annotated[str, typer.Option(help="Preset of the markets.")] = "small",
    sessions: Annotated[int | None, typer.Option(help="Sessions; the preset's if left out.")] = None,
    symbols: Annotated[int | None, typer.Option(help="Stocks; the preset's if left out.")] = None,
    processes: Annotated[int, typer.Option(help="Markets run side by side.", min=1)] = 2,
    root: Annotated[
        Path | None, typer.Option(help="Folder for markets and homes; a temporary one if left out.")
    ] = None,
    scorer: Annotated[
        bool, typer.Option("--scorer", help="Only the IC's own test, on scores without relation.")
    ] = False,
    home: HomeOption = None,
    set_: SetOption = None,
) -> None:
    """Show that a market without alpha yields none and planted alpha comes back; exit code 1 where it does not.

    The result is kept in the home, where the claim ledger reads it. So is each market as it is finished: a proof that was cut
    off goes on from there.
    """
    chosen = _range(seeds)
    if scorer:
        holds = _scorer(chosen, processes, home)
    else:
        with tempfile.TemporaryDirectory(prefix="aurora-proofs-") as temporary:
            holds = _pipeline(
                chosen, alpha, preset, sessions, symbols, processes, root or Path(temporary), home, tuple(set_ or [])
            )
    if not holds:
        out.print("it does not hold", style="bold red")
        raise typer.Exit(1)
    out.print("it holds")


def _pipeline(
    seeds: range,
    alpha: str,
    preset: str,
    sessions: int | None,
    symbols: int | None,
    processes: int,
    root: Path,
    home: Path | None,
    overrides: tuple[str, ...],
) -> bool:
    from aurora_pipeline.adapters.stage_inputs.claims import PIPELINE_PROOF
    from aurora_pipeline.market.simulation.presets import resolve_preset
    from aurora_pipeline.monitoring.proof_verdicts import Alpha
    from aurora_pipeline.workflows.proofs import PLANTED, MarketTask, prove, save_proof

    strengths = [name.strip() for name in alpha.split(",")]
    unknown = [name for name in strengths if name not in PLANTED]
    if unknown:
        raise SettingsError(f"--alpha {unknown[0]}: expected any of {', '.join(PLANTED)}")
    resolve_preset(preset, seed=seeds[0], alpha=1.0, profile="full", sessions=sessions, symbols=symbols)
    root.mkdir(parents=True, exist_ok=True)
    tasks = [
        MarketTask(root, cast(Alpha, name), seed, preset, sessions, symbols, overrides)
        for name in strengths
        for seed in seeds
    ]
    kept = opened_home(home)
    with progress_bars():
        markets, verdicts = prove(tasks, processes, kept.reports / FINISHED_MARKETS, _tell)
    _print_markets(markets)
    _print_families(markets)
    _print_verdicts([(v.what, v.measured, v.required, v.holds) for v in verdicts])
    path = save_proof(
        kept,
        PIPELINE_PROOF,
        {
            "preset": preset,
            "markets": [market.as_dict() for market in markets],
            "verdicts": [vars(verdict) for verdict in verdicts],
        },
    )
    out.print(f"kept in {path}", highlight=False)
    return all(verdict.holds for verdict in verdicts)


def _print_markets(markets: Sequence[ProvenMarket]) -> None:
    """Print a table of what came out of each market."""
    table = Table(
        "alpha",
        "seed",
        "rank IC",
        "t",
        "5 % point",
        "beyond",
        "truth",
        "slope",
        "its 95 %",
        "cover 50/80/90",
        "E[r] bps",
    )
    for market in markets:
        table.add_row(
            market.alpha,
            str(market.seed),
            _text(market.rank_ic, 4),
            _text(market.t, 2),
            _text(market.critical, 2),
            "yes" if market.rejects else "",
            _text(market.correlation_with_truth, 3),
            _text(market.slope, 2),
            f"{_text(market.slope_lower, 2)} to {_text(market.slope_upper, 2)}",
            " ".join(f"{100 * share:.1f}" for share in market.coverage.values()),
            _text(market.expected_return_bps, 1),
        )
    print_table(table)


def _print_families(markets: Sequence[ProvenMarket]) -> None:
    """Print a table of t of each family's own IC; an asterisk where it is beyond its 5 % point."""
    families = list(dict.fromkeys(name for market in markets for name in market.families))
    table = Table("alpha", "seed", *families, title="t of each family")
    for market in markets:
        beyond = market.rejecting_families
        cells = [
            _text(market.families[name]["t"], 2) + ("*" if name in beyond else "") if name in market.families else "-"
            for name in families
        ]
        table.add_row(market.alpha, str(market.seed), *cells)
    print_table(table)


def _tell(market: ProvenMarket) -> None:
    out.print(
        f"alpha {market.alpha}, seed {market.seed}: rank IC {_text(market.rank_ic, 4)}, t {_text(market.t, 2)} "
        f"(5 % point {_text(market.critical, 2)})",
        highlight=False,
    )


def _scorer(seeds: range, processes: int, home: Path | None) -> bool:
    from aurora_pipeline.adapters.stage_inputs.claims import SCORER_PROOF
    from aurora_pipeline.workflows.proofs import prove_scorer, save_proof

    with progress_bars():
        rows, holds = prove_scorer(seeds, processes)
    table = Table("sessions", "names", "sectors", "half-life of scores", "seeds", "rejected at 5 %", "2.5 to 8 %")
    for row in rows:
        shown: list[Any] = [row["sessions"], row["names"], row["sectors"], row["score_half_life"], row["seeds"]]
        table.add_row(
            *map(str, shown), f"{100 * row['rejection_rate']:.2f} %", "yes" if row["holds"] else verdict("no")
        )
    print_table(table)
    out.print(f"kept in {save_proof(opened_home(home), SCORER_PROOF, {'designs': rows})}", highlight=False)
    return holds


def _print_verdicts(rows: list[tuple[str, str, str, bool]]) -> None:
    table = Table("what must hold", "measured", "required", "")
    for what, measured, required, holds in rows:
        table.add_row(what, measured, required, "holds" if holds else verdict("does not hold"))
    print_table(table)


def _range(text: str) -> range:
    first, _, last = text.partition("-")
    try:
        seeds = range(int(first), int(last or first) + 1)
    except ValueError as error:
        raise SettingsError(f"--seeds {text}: expected first-last, such as 1-20") from error
    if not seeds:
        raise SettingsError(f"--seeds {text}: the last comes before the first")
    return seeds


def _text(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
