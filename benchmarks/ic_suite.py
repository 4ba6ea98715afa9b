"""Seconds of the IC suite on 130 names x 2000 sessions, and of alphalens on the same panel where it is named.

    .venv/bin/python benchmarks/ic_suite.py [--alphalens PYTHON] [--numbers FILE]

`PYTHON` is an interpreter of an environment of its own with alphalens-reloaded 0.5.1 (`pip install alphalens-reloaded==0.5.1
"pandas<3"`): the same panel goes through it, and the ratio and the largest difference of every table are printed.
`--numbers` instead writes alphalens's tables of the small panel the test holds the suite against, as text.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from aurora_pipeline.monitoring.ic_suite import ic_suite
from aurora_pipeline_tests.monitoring.persistent_panel import OUTCOMES, persistent_panel

REPEATS = 5
TABLES = {
    "ic": (["decision_time", "outcome"], ["ic"]),
    "group_ic": (["decision_time", "group", "outcome"], ["ic"]),
    "quantile_returns": (["quantile", "outcome"], ["mean", "standard_error"]),
    "turnover": (["decision_time"], ["quantile_1", "quantile_5", "rank_autocorrelation"]),
}


ALPHALENS = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import pandas as pd
from alphalens import performance, utils
source, target, outcomes = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
frame = pd.read_csv(source, parse_dates=["decision_time"], float_precision="round_trip")
keyed = frame.set_index(["decision_time", "symbol"]).rename_axis(["date", "asset"])
started = time.perf_counter()
data = keyed[outcomes].copy()
data.columns = [f"{name.split('_')[1]}D" for name in outcomes]
data["factor"], data["group"] = keyed["score"], keyed["sector"]
data["factor_quantile"] = utils.quantize_factor(data, quantiles=5)
ic = performance.factor_information_coefficient(data)
group_ic = performance.factor_information_coefficient(data, by_group=True)
mean, error = performance.mean_return_by_quantile(data)
turnover = {f"quantile_{k}": performance.quantile_turnover(data["factor_quantile"], k, 1) for k in (1, 5)}
turnover["rank_autocorrelation"] = performance.factor_rank_autocorrelation(data, 1)
seconds = time.perf_counter() - started
named = dict(zip([c for c in data.columns if c.endswith("D")], outcomes))
def stack(table, value):
    table = table.rename(columns=named)
    table.columns.name = "outcome"
    return table.stack().rename(value).reset_index()
out = {
    "ic": stack(ic, "ic").rename(columns={"date": "decision_time"}),
    "group_ic": stack(group_ic, "ic").rename(columns={"date": "decision_time"}),
    "quantile_returns": stack(mean, "mean").merge(stack(error, "standard_error")).rename(columns={"factor_quantile": "quantile"}),
    "turnover": pd.DataFrame(turnover).rename_axis("decision_time").reset_index(),
}
for table in out.values():
    if "decision_time" in table: table["decision_time"] = table["decision_time"].dt.strftime("%Y-%m-%d")
tables = {name: json.loads(table.to_json(orient="records", double_precision=15)) for name, table in out.items()}
json.dump({"seconds": seconds, **tables}, open(target, "w"))
"""


def alphalens_tables(python: Path, frame: pl.DataFrame) -> tuple[float, dict[str, pl.DataFrame]]:
    """Seconds and tables of alphalens in its own interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "panel.csv", Path(folder) / "tables.json"
        frame.write_csv(source, float_precision=17, float_scientific=True)
        subprocess.run([python, "-c", ALPHALENS, source, target, ",".join(OUTCOMES)], check=True)
        content = json.loads(target.read_text())
    seconds = content.pop("seconds")
    tables = {name: pl.DataFrame(rows, infer_schema_length=None) for name, rows in content.items()}
    return seconds, tables


def largest_difference(ours: pl.DataFrame, theirs: pl.DataFrame, keys: list[str], values: list[str]) -> float:
    """Largest absolute difference of the values both define; fails where keys are not the same."""
    if "decision_time" in keys:
        ours = ours.with_columns(pl.col("decision_time").dt.strftime("%Y-%m-%d"))
    both = ours.select(*keys, *values).join(theirs.select(*keys, *values), on=keys, how="inner", suffix="_theirs")
    both = both.drop_nulls(values)
    if both.height < 0.9 * theirs.height:
        raise SystemExit(f"only {both.height} of {theirs.height} rows have a counterpart")
    return max(float((both[value] - both[f"{value}_theirs"]).abs().max() or 0.0) for value in values)  # type: ignore[arg-type]


def main() -> None:
    """Time, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alphalens", type=Path)
    parser.add_argument("--numbers", type=Path)
    arguments = parser.parse_args()
    if arguments.numbers:
        _, tables = alphalens_tables(arguments.alphalens, persistent_panel(24, 30, 3, 7))
        lines = [json.dumps({"table": name, **row}) for name, table in tables.items() for row in table.to_dicts()]
        arguments.numbers.write_text("\n".join(lines) + "\n")
        return
    frame = persistent_panel(130, 2010, 11, 7)
    ic_suite(frame, OUTCOMES)
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        suite = ic_suite(frame, OUTCOMES)
        times.append(time.perf_counter() - started)
    seconds = min(times)
    print(f"IC suite      {seconds:8.3f} s   130 names x 2000 sessions, {len(OUTCOMES)} horizons, best of {REPEATS}")
    if arguments.alphalens:
        theirs, tables = alphalens_tables(arguments.alphalens, frame)
        print(f"alphalens     {theirs:8.3f} s   {theirs / seconds:.0f} times as long")
        for name, (keys, values) in TABLES.items():
            print(
                f"largest difference {name:<17} {largest_difference(getattr(suite, name), tables[name], keys, values):.1e}"
            )


if __name__ == "__main__":
    sys.exit(main())
