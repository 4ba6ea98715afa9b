"""Predictions of Qlib's default LightGBM on Alpha158 for a daily market folder; run under Qlib's interpreter.

    QLIB_PYTHON benchmarks/qlib_us100.py MARKET OUT.parquet [--test-start 2019-10-01] [--test-end 2026-03-06]

The configuration is Qlib's own (`examples/benchmarks/LightGBM/workflow_config_lightgbm_Alpha158.yaml`): its
hyper-parameters, its label (return from the close of t + 1 to the close of t + 2), its processors. Sessions before the test span
are cut 55 : 15 into train and valid, so that the whole is 55 / 15 / 30 %. OUT holds `symbol`, `session`, `score` of every
stock and session of the test span, and what is printed is the mean over sessions of the Spearman correlation of score and label.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import pandas as pd
import qlib
from qlib.contrib.data.handler import Alpha158
from qlib.contrib.model.gbdt import LGBModel
from qlib.data.dataset import DatasetH
from qlib.workflow import R
from qlib_store import write_store

TRAIN, VALID = 55, 15
THREADS = 2
MODEL = {
    "loss": "mse",
    "colsample_bytree": 0.8879,
    "learning_rate": 0.2,
    "subsample": 0.8789,
    "lambda_l1": 205.6999,
    "lambda_l2": 580.9768,
    "max_depth": 8,
    "num_leaves": 210,
    "num_threads": THREADS,
}


def segments(sessions: pd.DatetimeIndex, start: str, end: str) -> dict[str, tuple[pd.Timestamp, pd.Timestamp]]:
    """Train, valid and test span; the two sessions a label looks ahead are left out before each next one."""
    before = sessions[sessions < start]
    cut = len(before) * TRAIN // (TRAIN + VALID)
    return {
        "train": (before[0], before[cut - 3]),
        "valid": (before[cut], before[-3]),
        "test": (pd.Timestamp(start), pd.Timestamp(end)),
    }


def main() -> None:
    """Train, predict, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("market", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--test-start", default="2019-10-01")
    parser.add_argument("--test-end", default="2026-03-06")
    arguments = parser.parse_args()
    out = arguments.out.absolute()
    universe = pd.read_parquet(arguments.market / "universe.parquet")
    bars = pd.read_parquet(arguments.market / "daily_bars.parquet")
    bars = bars[bars["symbol"].isin(universe.loc[universe["kind"] == "stock", "symbol"])]
    bars = bars.assign(session=pd.to_datetime(bars["session"])).drop_duplicates(["symbol", "session"], keep="last")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_store(bars, folder / "data")
        os.chdir(folder)  # Qlib's recorder writes its artifacts where it stands
        manager = {
            "class": "MLflowExpManager",
            "module_path": "qlib.workflow.expm",
            "kwargs": {"uri": f"sqlite:///{folder}/mlflow.db", "default_exp_name": "us100"},
        }
        qlib.init(provider_uri=str(folder / "data"), kernels=THREADS, logging_level=40, exp_manager=manager)
        sessions = pd.DatetimeIndex(sorted(bars["session"].unique()))
        spans = segments(sessions, arguments.test_start, arguments.test_end)
        handler = Alpha158(
            instruments="all",
            start_time=sessions[0],
            end_time=pd.Timestamp(arguments.test_end),
            fit_start_time=spans["train"][0],
            fit_end_time=spans["train"][1],
        )
        dataset = DatasetH(handler, spans)
        model = LGBModel(**MODEL)
        with R.start(experiment_name="us100"):
            model.fit(dataset, verbose_eval=0)
        score = model.predict(dataset, "test").rename("score")
        label = dataset.prepare("test", col_set="label", data_key="raw").iloc[:, 0].rename("label")
    both = pd.concat([score, label], axis=1).dropna()
    daily = both.groupby(level="datetime").apply(lambda own: own["score"].corr(own["label"], method="spearman"))
    frame = score.reset_index().rename(columns={"datetime": "session", "instrument": "symbol"})
    frame["session"] = frame["session"].dt.date
    frame[["symbol", "session", "score"]].to_parquet(out, index=False)
    deviation = daily.std() / len(daily) ** 0.5
    print({name: (str(first.date()), str(last.date())) for name, (first, last) in spans.items()})
    found = f"mean rank IC {daily.mean():.4f}, plain t {daily.mean() / deviation:.2f}"
    print(f"{len(frame)} scores, {len(daily)} sessions, {found}")


if __name__ == "__main__":
    main()
