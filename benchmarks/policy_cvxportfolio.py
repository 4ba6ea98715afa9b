"""Seconds per step of cvxportfolio 1.5.1 on the same kind of decision, in an environment of its own.

    python3 -m venv ../cvxportfolio-env && ../cvxportfolio-env/bin/pip install cvxportfolio==1.5.1
    ../cvxportfolio-env/bin/python benchmarks/policy_cvxportfolio.py

Single-period optimisation of 130 names with given forecasts, a factor model covariance, transaction cost with impact, a leverage
and a turnover limit. Market data is random; only the time of the policy step counts.
"""

from __future__ import annotations

import argparse
import statistics
import time

import cvxportfolio as cvx
import numpy as np
import pandas as pd

SESSIONS = 60


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=int, default=130)
    parser.add_argument("--factors", type=int, default=12)
    arguments = parser.parse_args()
    random = np.random.default_rng(1)
    days = pd.bdate_range("2020-01-01", periods=400)
    columns = [f"N{index}" for index in range(arguments.names)]
    returns = pd.DataFrame(random.normal(0.0, 0.015, (len(days), arguments.names)), days, columns)
    volumes = pd.DataFrame(1e8, days, columns)
    prices = pd.DataFrame(100.0, days, columns)
    loadings = pd.DataFrame(random.normal(size=(arguments.factors, arguments.names)), columns=columns)
    market = cvx.UserProvidedMarketData(
        returns=returns.assign(cash=0.0),
        volumes=volumes,
        prices=prices,
        cash_key="cash",
        min_history=pd.Timedelta("200d"),
    )
    forecast = pd.DataFrame(random.normal(0.0, 0.002, (len(days), arguments.names)), days, columns)
    objective = (
        cvx.ReturnsForecast(forecast)
        - 5.0 * cvx.FactorModelCovariance(F=0.003 * loadings, D=pd.Series(1e-4, columns))
        - cvx.StocksTransactionCost()
    )
    policy = cvx.SinglePeriodOptimization(
        objective, [cvx.LeverageLimit(0.22), cvx.TurnoverLimit(0.05)], solver="CLARABEL"
    )
    times: list[float] = []
    original = policy.values_in_time_recursive

    def timed(**arguments_of_step):
        started = time.process_time()
        result = original(**arguments_of_step)
        times.append(time.process_time() - started)
        return result

    policy.values_in_time_recursive = timed
    simulator = cvx.MarketSimulator(market_data=market)
    simulator.backtest(policy, start_time=days[-SESSIONS], initial_value=1e7)
    print(f"{arguments.names} names: median {statistics.median(times[1:]):.4f} s per step over {len(times) - 1} steps")


if __name__ == "__main__":
    main()
