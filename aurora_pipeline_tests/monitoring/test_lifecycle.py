import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_pipeline.contracts import validated
from aurora_pipeline.monitoring.lifecycle import model_states
from aurora_pipeline.monitoring.lifecycle_decisions import LifecycleDecision
from aurora_pipeline.monitoring.lifecycle_gates import Health
from aurora_pipeline.monitoring.lifecycle_tests import promotion_threshold
from aurora_pipeline.monitoring.model_evidence import NOTHING, Measured
from aurora_pipeline.monitoring.served_states import serving
from aurora_pipeline.monitoring.standings import Model
from aurora_pipeline.settings import LifecycleSettings

DAYS = [date(2024, 1, 1) + timedelta(days=k) for k in range(12)]
OPENS = {day: datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC) for day in DAYS}
RULES = LifecycleSettings(minimum_sessions=5)
RIDGE = Model("ridge", "ridge", DAYS[0], founding=True)
TREES = Model("lightgbm", "lightgbm", DAYS[0], founding=True)
NEW = Model("ridge~short", "ridge", DAYS[2], founding=False)
OTHER = Model("ridge~long", "ridge", DAYS[2], founding=False)
SOUND = Health(5, 0, None)


class Says:
    """Evidence that is what a test wants it to be, from a session on."""

    def __init__(self, **tests):
        self.tests = tests

    def measured(self, model, moment):
        found = {"sessions": 50, "ic": 0.03, "skill": 0.0, "keep": 0.0}
        found |= {
            name: value for (who, name), (start, value) in self._by("measured") if who == model and _at(moment, start)
        }
        return Measured(**found, through=moment - timedelta(hours=1))

    def gain(self, challenger, champion, moment):
        shown = [
            value
            for (pair, (start, value)) in self._by("gain")
            if pair == (challenger, champion) and _at(moment, start)
        ]
        return shown[-1] if shown else None

    def _by(self, kind):
        return self.tests.get(kind, {}).items()


def _at(moment, day):
    return moment >= OPENS[day]


def run(models, evidence=None, health=None, decisions=(), rules=RULES, days=DAYS):
    health = health if health is not None else {(day, model.name): SOUND for day in days for model in models}
    frame, ignored = model_states(days, OPENS, models, evidence or Says(), health, decisions, rules)
    return validated("model_states", frame), ignored


def path(frame, model):
    return frame.filter(pl.col("model") == model).sort("session").get_column("state").to_list()


def test_founding_models_trade_from_the_first_session_and_stay_while_nothing_speaks_against_them():
    frame, _ = run([RIDGE, TREES])
    assert path(frame, "ridge") == ["champion"] * 12
    assert serving(frame)[DAYS[0]] == {"ridge": "ridge", "lightgbm": "lightgbm"}


def test_the_order_in_which_models_are_given_does_not_matter():
    evidence = Says(gain={("ridge~short", "ridge"): (DAYS[8], 9.0)})
    frame, _ = run([TREES, OTHER, RIDGE, NEW], evidence)
    assert frame.equals(run([NEW, RIDGE, OTHER, TREES], evidence)[0])
    last = frame.filter(pl.col("session") == DAYS[-1])
    assert last.get_column("model").to_list() == ["lightgbm", "ridge", "ridge~long", "ridge~short"]


def test_the_thresholds_in_force_stand_beside_the_evidence():
    frame, _ = run([RIDGE, NEW], rules=RULES.model_copy(update={"retirement_rate": 0.02, "promotion_rate": 0.1}))
    last = frame.filter(pl.col("session") == DAYS[-1])
    assert last.get_column("retirement_threshold").to_list() == pytest.approx([math.log(50.0)] * 2)
    assert last.filter(model="ridge").get_column("promotion_threshold").item() is None
    assert last.filter(model="ridge~short").get_column("promotion_threshold").item() == pytest.approx(math.log(20.0))


def test_a_challenger_passes_the_gate_then_waits_in_shadow_for_evidence():
    frame, _ = run([RIDGE, NEW], Says(gain={("ridge~short", "ridge"): (DAYS[8], 3.7)}))
    # promotion_rate 0.05, first challenger: log(1 * 2 / 0.05) = 3.689
    assert path(frame, "ridge~short") == ["shadow"] * 6 + ["champion"] * 4
    assert path(frame, "ridge") == ["champion"] * 8 + ["retired"] * 4
    row = frame.filter(pl.col("session") == DAYS[8], pl.col("model") == "ridge~short").row(0, named=True)
    assert row["reason"] == "evidence 3.70 of a gain over ridge (limit 3.69)"
    assert row["decided_by"] == "test"


def test_evidence_just_below_the_threshold_promotes_nobody():
    frame, _ = run([RIDGE, NEW], Says(gain={("ridge~short", "ridge"): (DAYS[4], 3.68)}))
    assert path(frame, "ridge") == ["champion"] * 12


def test_the_whole_zoo_shares_one_false_alarm_rate():
    rates = [math.exp(-promotion_threshold(trial, RULES)) for trial in range(1, 10_000)]
    assert sum(rates) == pytest.approx(RULES.promotion_rate, rel=1e-3)
    assert promotion_threshold(0, RULES) is None


def test_two_that_pass_at_once_are_promoted_one_at_a_time_and_ties_go_to_the_higher_ic():
    # ridge~long was admitted first (by name), ridge~short second: thresholds differ by log(6 / 2), so the margins tie.
    gains = {("ridge~long", "ridge"): (DAYS[6], 9.0), ("ridge~short", "ridge"): (DAYS[6], 9.0 + math.log(3))}
    frame, _ = run([RIDGE, NEW, OTHER], Says(gain=gains, measured={("ridge~short", "ic"): (DAYS[0], 0.05)}))
    assert path(frame, "ridge~short")[-1] == "champion"
    assert path(frame, "ridge~long")[-1] == "shadow"
    assert frame.filter("serves").group_by("session", "family").len().get_column("len").max() == 1


def test_too_little_matured_history_decides_nothing():
    young = {
        ("ridge~short", "sessions"): (DAYS[0], 4),
        ("ridge", "sessions"): (DAYS[0], 4),
        ("ridge", "keep"): (DAYS[3], 99.0),
    }
    frame, _ = run([RIDGE, NEW], Says(gain={("ridge~short", "ridge"): (DAYS[4], 50.0)}, measured=young))
    assert path(frame, "ridge") == ["champion"] * 12


def test_probation_comes_before_retirement_and_has_hysteresis():
    class Wave(Says):
        levels = (0, 0, 1.5, 1.0, 0.71, 0.6, 0, 0, 3.1, 0, 0, 0)

        def measured(self, model, moment):
            level = self.levels[list(OPENS.values()).index(moment)]
            return Measured(50, 0.01, 0.0, level, moment - timedelta(hours=1))

    frame, _ = run([RIDGE], Wave())
    # warning log(4) = 1.386, half of it 0.693, limit log(20) = 2.996; retired is for good
    assert path(frame, "ridge") == ["champion"] * 2 + ["probation"] * 3 + ["champion"] * 3 + ["retired"] * 4


def test_a_broken_feed_puts_on_probation_at_once_and_retires_within_five_sessions():
    health = {(day, "ridge"): SOUND for day in DAYS[:3]}
    health |= {(day, "ridge"): Health(0, k + 1, "half of the features went missing") for k, day in enumerate(DAYS[3:])}
    frame, _ = run([RIDGE], health=health)
    assert path(frame, "ridge") == ["champion"] * 3 + ["probation"] * 2 + ["retired"] * 7
    last = frame.row(-1, named=True)
    assert last["decided_by"] == "gate"
    assert "half of the features" in last["reason"]


def test_one_unsound_session_does_not_cost_the_place():
    health = {(day, "ridge"): SOUND for day in DAYS} | {(DAYS[4], "ridge"): Health(0, 1, "constant scores")}
    frame, _ = run([RIDGE], health=health)
    assert path(frame, "ridge") == ["champion"] * 4 + ["probation"] + ["champion"] * 7


def test_after_a_gate_a_sound_model_takes_up_its_place_if_it_is_vacant():
    health = {(day, "ridge"): Health(0, 3, "no scores") for day in DAYS[:4]}
    health |= {(day, "ridge"): Health(k + 1, 0, None) for k, day in enumerate(DAYS[4:])}
    frame, _ = run([RIDGE], health=health)
    assert path(frame, "ridge") == ["retired"] * 8 + ["champion"] * 4


def test_after_a_gate_a_model_whose_place_was_taken_starts_again_as_a_challenger():
    health = {(day, "ridge~short"): SOUND for day in DAYS}
    health |= {(day, "ridge"): Health(0, 3, "no scores") for day in DAYS[:6]}
    health |= {(day, "ridge"): Health(k + 1, 0, None) for k, day in enumerate(DAYS[6:])}
    frame, _ = run([RIDGE, NEW], Says(measured={("ridge~short", "skill"): (DAYS[3], 9.0)}), health)
    assert path(frame, "ridge~short")[-1] == "champion"
    assert path(frame, "ridge")[-2:] == ["candidate", "shadow"]
    assert frame.row(-2, named=True)["trial"] == 2


def test_the_last_model_retired_leaves_the_champion_set_empty():
    frame, _ = run([RIDGE], Says(measured={("ridge", "keep"): (DAYS[5], 4.0)}))
    assert serving(frame)[DAYS[4]] == {"ridge": "ridge"}
    assert serving(frame)[DAYS[5]] == {}


def test_a_vacant_family_goes_to_a_challenger_that_beats_zero():
    evidence = Says(measured={("ridge", "keep"): (DAYS[5], 4.0), ("ridge~short", "skill"): (DAYS[7], 3.7)})
    frame, _ = run([RIDGE, NEW], evidence)
    assert serving(frame)[DAYS[6]] == {}
    assert serving(frame)[DAYS[7]] == {"ridge": "ridge~short"}


def test_a_negative_mean_ic_is_never_promoted():
    evidence = Says(gain={("ridge~short", "ridge"): (DAYS[4], 9.0)}, measured={("ridge~short", "ic"): (DAYS[0], -0.01)})
    frame, _ = run([RIDGE, NEW], evidence)
    assert path(frame, "ridge") == ["champion"] * 12


def test_with_approval_tests_only_propose_and_a_person_decides():
    rules = RULES.model_copy(update={"approval": True})
    evidence = Says(gain={("ridge~short", "ridge"): (DAYS[5], 9.0)}, measured={("ridge", "keep"): (DAYS[6], 9.0)})
    frame, _ = run([RIDGE, NEW], evidence, rules=rules)
    assert path(frame, "ridge~short")[-1] == "shadow"
    assert path(frame, "ridge")[-1] == "probation"
    reasons = frame.filter(pl.col("session") == DAYS[-1]).get_column("reason").to_list()
    assert all("awaits approval" in reason for reason in reasons)
    said = [LifecycleDecision(DAYS[8], "promote", "ridge~short", "kim", "agreed")]
    frame, ignored = run([RIDGE, NEW], evidence, decisions=said, rules=rules)
    assert ignored == []
    assert serving(frame)[DAYS[7]] == {"ridge": "ridge"}
    assert serving(frame)[DAYS[8]] == {"ridge": "ridge~short"}


def test_a_rollback_brings_the_old_champion_back_the_next_session_and_can_be_rolled_back():
    evidence = Says(gain={("ridge~short", "ridge"): (DAYS[5], 9.0)})
    said = [LifecycleDecision(DAYS[k], "rollback", "ridge", "kim", "worse in the book") for k in (8, 10)]
    frame, ignored = run([RIDGE, NEW], evidence, decisions=said)
    assert ignored == []
    assert [serving(frame)[day]["ridge"] for day in DAYS[4:]] == ["ridge"] + ["ridge~short"] * 3 + ["ridge"] * 2 + [
        "ridge~short"
    ] * 2
    rolled = frame.filter(pl.col("session") == DAYS[8], pl.col("serves")).row(0, named=True)
    assert (rolled["reason"], rolled["decided_by"]) == ("rollback: worse in the book", "kim")


def test_a_rollback_passes_over_a_former_champion_that_was_retired_for_its_own_sake():
    evidence = Says(gain={("ridge~short", "ridge"): (DAYS[4], 9.0)})
    said = [
        LifecycleDecision(DAYS[5], "promote", "ridge~long", "kim", "better"),
        LifecycleDecision(DAYS[6], "retire", "ridge~short", "kim", "its feed was dropped"),
        LifecycleDecision(DAYS[8], "rollback", "ridge", "kim", "worse in the book"),
    ]
    frame, ignored = run([RIDGE, NEW, OTHER], evidence, decisions=said)
    assert ignored == []
    assert [serving(frame)[day]["ridge"] for day in DAYS[3:9]] == ["ridge", "ridge~short"] + ["ridge~long"] * 3 + [
        "ridge"
    ]
    assert path(frame, "ridge~short")[-1] == "retired"


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (Says(measured={("ridge", "keep"): (DAYS[5], 9.0)}), ()),
        (Says(), (LifecycleDecision(DAYS[5], "retire", "ridge", "kim", "evidence 9.00"),)),
    ],
    ids=["by test", "by a person"],
)
def test_a_rollback_never_brings_back_what_was_retired_and_says_how_to(evidence, said):
    back = LifecycleDecision(DAYS[8], "rollback", "ridge", "kim", "we need one")
    frame, ignored = run([RIDGE, NEW], evidence, decisions=[*said, back])
    assert path(frame, "ridge")[-1] == "retired"
    assert serving(frame)[DAYS[-1]] == {}
    assert len(ignored) == 1
    assert "ridge: evidence 9.00" in ignored[0]
    assert "aurora models promote ridge" in ignored[0]
    by_name = LifecycleDecision(DAYS[9], "promote", "ridge", "kim", "we need one")
    frame, ignored = run([RIDGE, NEW], decisions=[*said, by_name] if said else [by_name])
    assert serving(frame)[DAYS[-1]] == {"ridge": "ridge"}


def test_a_model_that_was_replaced_can_be_retired_so_that_no_rollback_brings_it_back():
    evidence = Says(gain={("ridge~short", "ridge"): (DAYS[4], 9.0)})
    said = [
        LifecycleDecision(DAYS[6], "retire", "ridge", "kim", "its feed was dropped"),
        LifecycleDecision(DAYS[8], "rollback", "ridge", "kim", "worse in the book"),
        LifecycleDecision(DAYS[9], "retire", "ridge", "kim", "again"),
    ]
    frame, ignored = run([RIDGE, NEW], evidence, decisions=said)
    assert serving(frame)[DAYS[-1]] == {"ridge": "ridge~short"}
    assert "its feed was dropped" in ignored[0]
    assert "retired already" in ignored[1]


@pytest.mark.parametrize(
    ("decision", "why"),
    [
        (LifecycleDecision(DAYS[3], "rollback", "ridge", "kim", "x"), "never had another champion"),
        (LifecycleDecision(DAYS[3], "promote", "catboost", "kim", "x"), "no such model"),
        (LifecycleDecision(DAYS[1], "promote", "ridge~short", "kim", "x"), "no such model"),
        (LifecycleDecision(DAYS[3], "promote", "ridge", "kim", "x"), "champion already"),
    ],
)
def test_a_decision_that_cannot_be_carried_out_changes_nothing_and_says_why(decision, why):
    frame, ignored = run([RIDGE, NEW], decisions=[decision])
    assert len(ignored) == 1
    assert why in ignored[0]
    assert frame.equals(run([RIDGE, NEW])[0])


def test_of_two_promotions_by_persons_in_one_session_the_later_one_holds():
    said = [LifecycleDecision(DAYS[5], "promote", name, "kim", "x") for name in ("ridge~short", "ridge~long")]
    frame, ignored = run([RIDGE, NEW, OTHER], decisions=said)
    assert ignored == []
    assert serving(frame)[DAYS[5]] == {"ridge": "ridge~long"}
    assert path(frame, "ridge~short")[-1] == "retired"


def test_a_model_without_any_evidence_or_health_keeps_its_state():
    class Mute:
        def measured(self, model, moment):
            return NOTHING

        def gain(self, challenger, champion, moment):
            return None

    frame, _ = run([RIDGE, NEW], Mute(), health={})
    assert path(frame, "ridge") == ["champion"] * 12
    assert path(frame, "ridge~short") == ["candidate"] * 10


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_family_never_has_two_champions_and_a_longer_history_rewrites_nothing(seed):
    rng = np.random.default_rng(seed)

    class Random:
        def measured(self, model, moment):
            draw = np.random.default_rng([seed, hash(model) % 1000, moment.day])
            return Measured(50, draw.normal(0.01, 0.02), draw.exponential(3), draw.exponential(1.2), moment)

        def gain(self, challenger, champion, moment):
            return np.random.default_rng([seed, hash(challenger) % 1000, moment.day]).exponential(3)

    models = [RIDGE, TREES, NEW, OTHER]
    kinds, names = ("promote", "retire", "rollback"), [model.name for model in models]
    said = [
        LifecycleDecision(DAYS[rng.integers(12)], kinds[rng.integers(3)], names[rng.integers(4)], "kim", "x")
        for _ in range(4)
    ]
    health = {
        (day, name): SOUND if rng.random() < 0.8 else Health(0, int(rng.integers(1, 5)), "x")
        for day in DAYS
        for name in names
    }
    whole, _ = run(models, Random(), health, said)
    assert whole.filter("serves").group_by("session", "family").len().filter(pl.col("len") > 1).is_empty()
    part, _ = run(models, Random(), health, said, days=DAYS[:7])
    assert whole.filter(pl.col("session") <= DAYS[6]).equals(part)
