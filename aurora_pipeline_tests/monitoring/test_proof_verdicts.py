from __future__ import annotations

from dataclasses import replace

import pytest

from aurora_pipeline.monitoring.proof_verdicts import ProvenMarket, allowed_rejections, judge, pooled_z

NULL = ProvenMarket(
    alpha="none",
    seed=1,
    rank_ic=0.005,
    t=0.5,
    critical=2.8,
    p_value=0.63,
    correlation_with_truth=None,
    equal_weight_correlation=None,
    slope=0.2,
    slope_lower=-3.0,
    slope_upper=3.0,
    coverage={"50": 0.5, "80": 0.8, "90": 0.9},
    expected_return_bps=0.1,
)
FULL = replace(
    NULL, alpha="full", t=8.0, p_value=1e-6, correlation_with_truth=0.6, slope=1.1, slope_lower=0.7, slope_upper=1.5
)
MODEST = replace(FULL, alpha="modest", correlation_with_truth=0.25)
SOUND = [NULL, replace(NULL, t=-0.4, p_value=0.7), FULL, MODEST]


def failed(markets: list[ProvenMarket]) -> list[str]:
    return [verdict.what for verdict in judge(markets) if not verdict.holds]


def test_sound_markets_hold() -> None:
    assert failed(SOUND) == []
    assert len(judge(SOUND)) == 9


def test_at_most_ten_of_a_hundred_may_reject() -> None:
    assert allowed_rejections(100) == 10
    assert allowed_rejections(20) == 4
    lucky = replace(NULL, t=3.0, p_value=0.03)
    unlucky = replace(NULL, t=-3.0, p_value=0.03)
    assert failed([*[lucky, unlucky] * 5, *[NULL, replace(NULL, t=-0.5)] * 45]) == []
    assert len(failed([*[lucky, unlucky] * 6, *[NULL, replace(NULL, t=-0.5)] * 44])) == 1


def test_one_family_that_rejects_too_often_fails_although_the_ensemble_does_not() -> None:
    assert allowed_rejections(20, 2) == 4
    quiet, loud = {"rank_ic": 0.0, "t": 0.1, "critical": 2.8}, {"rank_ic": 0.1, "t": -3.1, "critical": 2.8}
    sound = [replace(NULL, t=sign * 0.4, families={"ridge": quiet, "lasso": quiet}) for sign in (1.0, -1.0) * 10]
    biased = [replace(market, families={"ridge": quiet, "lasso": loud}) for market in sound[:5]] + sound[5:]
    assert failed(sound) == []
    assert failed(biased[1:] + sound[:1]) == []
    assert failed(biased) == ["no alpha: most rejections of one of 2 families"]
    assert biased[0].rejecting_families == ["lasso"]


def test_one_leaky_market_alone_fails() -> None:
    assert failed([replace(NULL, t=9.0, p_value=1e-5)]) == ["no alpha: z of all ICs together"]


def test_a_small_bias_that_no_market_shows_is_seen_in_all_together() -> None:
    biased = [replace(NULL, t=1.5, p_value=0.17)] * 20
    assert not any(market.rejects for market in biased)
    assert pooled_z(biased) == pytest.approx(20**0.5 * 1.372, abs=0.01)
    assert failed(biased) == ["no alpha: z of all ICs together"]
    assert failed([replace(market, t=-1.5) for market in biased]) == ["no alpha: z of all ICs together"]


def test_alpha_that_does_not_come_back_fails() -> None:
    assert failed([FULL, replace(FULL, correlation_with_truth=0.1)]) == [
        "full alpha: mean correlation of score and truth"
    ]
    assert failed([replace(MODEST, correlation_with_truth=0.05)]) == [
        "modest alpha: mean correlation of score and truth"
    ]
    assert failed([replace(FULL, correlation_with_truth=None)]) == ["full alpha: mean correlation of score and truth"]


@pytest.mark.parametrize("bounds", [(1.3, 2.0), (0.1, 0.7), (None, None)])
def test_a_slope_away_from_one_fails(bounds: tuple[float | None, float | None]) -> None:
    wrong = replace(FULL, slope_lower=bounds[0], slope_upper=bounds[1])
    assert len(failed([wrong])) == 1
    assert len(failed([wrong, wrong, FULL])) == 1


def test_wrong_coverage_fails() -> None:
    narrow = {"50": 0.46, "80": 0.8, "90": 0.9}
    assert failed([replace(market, coverage=narrow) for market in SOUND]) == [
        "coverage of the 50 % interval, mean over markets"
    ]
    assert len(failed([replace(NULL, coverage={})])) == 3


def test_a_market_in_which_nothing_matured_fails() -> None:
    empty = replace(NULL, rank_ic=None, t=None, critical=None, p_value=None)
    assert "every market gave an IC" in failed([empty])
    assert judge([]) == []


def test_a_p_value_of_zero_is_the_strongest_evidence_not_none() -> None:
    assert pooled_z([replace(NULL, t=1e9, p_value=0.0)]) == float("inf")
    assert "no alpha: z of all ICs together" in failed([replace(NULL, t=1e9, p_value=0.0)])
    assert pooled_z([replace(NULL, t=None, p_value=None)]) == 0.0
