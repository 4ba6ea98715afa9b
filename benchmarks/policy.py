"""Seconds per policy step: sizing with factor risk, impact, turnover budget and every limit.

    .venv/bin/python benchmarks/policy.py
    .venv/bin/python benchmarks/policy.py --cvxportfolio 0.030

Prints the median and the 95th percentile of the time of one decision for 130 and 500 names. cvxportfolio is not a dependency:
`benchmarks/policy_cvxportfolio.py` is run by hand in an environment of its own (`pip install cvxportfolio==1.5.1`), and
`--cvxportfolio` takes the seconds per step it prints.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from aurora_pipeline.policy.cost_aware_sizer import size_positions
from aurora_pipeline_tests.policy.sizing_problems import random_request

SIZES = {130: 0.003, 500: 0.015}
DECISIONS = 200
COMPARED = 130
"""Names of the decision that cvxportfolio is timed on."""


def seconds_per_step(names: int) -> list[float]:
    """Time of each decision, the first (which compiles) left out."""
    requests = [random_request(seed, names=names, sectors=11) for seed in range(DECISIONS)]
    size_positions(requests[0])
    times = []
    for request in requests:
        started = time.process_time()
        size_positions(request)
        times.append(time.process_time() - started)
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cvxportfolio", type=float, help="its seconds per step, printed by policy_cvxportfolio.py")
    arguments = parser.parse_args()
    for names, target in SIZES.items():
        times = seconds_per_step(names)
        median, slow = statistics.median(times), float(np.quantile(times, 0.95))
        beside = arguments.cvxportfolio if names == COMPARED else None
        ratio = f"   {beside / median:6.1f} x faster than cvxportfolio" if beside else ""
        print(
            f"{names:4d} names   median {1000 * median:6.2f} ms   p95 {1000 * slow:6.2f} ms   target {1000 * target:.0f} ms "
            f"(processor time){ratio}"
        )


if __name__ == "__main__":
    main()
