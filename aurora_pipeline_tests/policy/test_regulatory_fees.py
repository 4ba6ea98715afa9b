from datetime import date

import numpy as np
import pytest

from aurora_pipeline.policy.regulatory_fees import SECTION_31, TRADING_ACTIVITY, sale_fees


@pytest.mark.parametrize(
    ("session", "per_million", "per_share", "cap"),
    [
        (date(2005, 6, 1), 19.20, 0.000075, 3.75),  # before the table: its first rate
        (date(2021, 2, 24), 22.10, 0.000119, 5.95),
        (date(2021, 2, 25), 5.10, 0.000119, 5.95),
        (date(2024, 5, 21), 8.00, 0.000166, 8.30),
        (date(2024, 5, 22), 27.80, 0.000166, 8.30),
        (date(2025, 5, 14), 0.0, 0.000166, 8.30),
        (date(2026, 1, 2), 0.0, 0.000195, 9.79),
        (date(2026, 4, 6), 20.60, 0.000195, 9.79),
    ],
)
def test_the_rate_of_the_day_is_charged(session, per_million, per_share, cap):
    fees = sale_fees(session)
    assert fees.value_rate == pytest.approx(per_million / 1e6)
    assert (fees.share_rate, fees.share_cap) == (per_share, cap)


def test_only_sales_pay_and_the_fee_per_share_is_capped():
    fees = sale_fees(date(2024, 6, 3))
    charged = fees.charge(np.array([1_000.0, -1_000.0, -1_000_000.0]), np.array([10.0, 10.0, 10.0]))
    np.testing.assert_allclose(charged, [0.0, 0.278 + 0.166, 278.0 + 8.30])


def test_the_tables_are_in_time_order():
    for table in (SECTION_31, TRADING_ACTIVITY):
        days = [row[0] for row in table]
        assert days == sorted(set(days))
