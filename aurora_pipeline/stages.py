"""The stages from market feeds to the trade book, in order: what each reads, writes and depends on.

:mod:`aurora_pipeline.lineage` turns this into fingerprints, :mod:`aurora_pipeline.defs` into the asset graph. A window that is
too short would be a silent gap, so the assets refuse to run where a session they look back to is missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.configuration_log import own_configurations
from aurora_pipeline.calendar import BARS_PER_SESSION
from aurora_pipeline.contracts import BOOK_TABLES
from aurora_pipeline.fingerprints import settings_hash
from aurora_pipeline.lookback import BAR_LOOKBACK, RISK_LOOKBACK, SESSION_LOOKBACK, VALUE_LOOKBACK
from aurora_pipeline.settings import Settings, View
from aurora_pipeline.stage import FEEDS, Read, Stage

FULL_SESSION_BARS = BARS_PER_SESSION["5min"]
"""5-minute bars of a session that is not cut short."""
BLOCK_SESSIONS = 40
BLOCK_NAMES = 520
"""A stage works on 40 sessions of 5-minute bars at once, of more than 520 names on fewer, and on as many bars of other
frequencies: what is in memory stays the same."""


def block_sessions(names: int, bars: int = FULL_SESSION_BARS) -> int:
    """Sessions of so many bars that a stage holds in memory at once, without those it looks back to."""
    most = BLOCK_SESSIONS * FULL_SESSION_BARS
    return max(1, min(most, most * BLOCK_NAMES // max(names, 1)) // bars)


_VIEW_READS = (
    Read("bars", "back", BAR_LOOKBACK),
    Read("session_bars", "back", SESSION_LOOKBACK),
    Read("residual_returns", "back", BAR_LOOKBACK),
    Read("universe", "same"),
)
_FEATURE_SETTINGS = ("features", "quality")
_FEATURE_CODE = ("features", "adapters/stage_inputs/features.py")
_RANK_CORRELATION = ("monitoring/information_coefficient.py", "monitoring/paired_scores.py")
VIEWS: tuple[str, ...] = get_args(View)
"""Feature views, in panel order."""


def label_reach(purge_bars: int, bars_per_session: int) -> int:
    """Sessions after a decision's own until its label has matured, a half-day on the way included."""
    return -(-purge_bars // bars_per_session) + 1


CARRYING_OUT = frozenset({"market", "threads", "training", "live", "profile", "cluster"})
"""Settings that say where and how work is done and change no number."""


def book_name(settings: Settings) -> str:
    """Name of the backtest book these settings give: equal settings, equal book."""
    keys = [name for name in type(settings).model_fields if name not in CARRYING_OUT]
    return f"backtest-{settings_hash(settings, keys)[:10]}"


def plan_stages(home: Home, settings: Settings) -> list[Stage]:
    """Return the stages of this home's frequency, families and horizon."""
    bars = BARS_PER_SESSION[home.frequency]
    own = own_configurations(home, settings)
    described = {
        family: json.dumps([str(entry.session), entry.values], sort_keys=True) for family, entry in own.items()
    }
    return build_stages(described, label_reach(settings.purge_bars(home.frequency), bars))


def build_stages(configurations: Mapping[str, str], reach: int) -> list[Stage]:
    """Return all stages for the given model families, in an order in which each comes after what it reads.

    Parameters
    ----------
    configurations : mapping of str to str
        Model families that are trained, each with what identifies the configuration its own name stands for.
    reach : int
        Sessions a label looks ahead, from :func:`label_reach`.
    """
    scored = tuple(Read(f"prediction/{family}", "history") for family in configurations)
    return [
        *_data_stages(reach),
        *(stage for family, values in configurations.items() for stage in _model_stages(family, values)),
        *_lifecycle_stages(scored),
        *_signal_stages(configurations, scored),
        Stage(
            "trade_book",
            BOOK_TABLES,
            (
                Read("signals", "history"),
                Read("model_states", "history"),
                Read("bars", "history"),
                Read("universe", "history"),
                Read("session_bars", "back", VALUE_LOOKBACK),
                Read("residual_returns", "back", RISK_LOOKBACK),
                Read("daily_bars", "feed"),
                Read("corporate_actions", "feed"),
                Read("borrow", "feed"),
            ),
            ("book", "costs", "horizon"),
            ("policy", "execution", "adapters/stage_inputs/book.py"),
            scored=True,
        ),
    ]


def _data_stages(reach: int) -> list[Stage]:
    """Stages from market feeds to features, labels and the audit of features."""
    return [
        Stage(
            "session_data",
            ("universe", "bars", "session_bars", "quarantine", "data_quality"),
            (Read("market", "raw"), *FEEDS),
            ("quality",),
            ("market", "calendar.py"),
        ),
        Stage(
            "residual_returns",
            ("residual_returns",),
            (
                Read("bars", "back", BAR_LOOKBACK),
                Read("session_bars", "back", SESSION_LOOKBACK),
                Read("universe", "same"),
                Read("daily_bars", "feed"),
                Read("corporate_actions", "feed"),
            ),
            _FEATURE_SETTINGS,
            ("features",),
        ),
        *(
            Stage(f"{view}_features", (f"{view}_features",), (*_VIEW_READS, *FEEDS), _FEATURE_SETTINGS, _FEATURE_CODE)
            for view in VIEWS
        ),
        Stage(
            "feature_panel",
            ("features",),
            (*(Read(f"{view}_features", "same") for view in VIEWS), Read("universe", "same")),
            _FEATURE_SETTINGS,
            _FEATURE_CODE,
        ),
        Stage(
            "labels",
            ("labels",),
            (Read("residual_returns", "ahead", reach), Read("universe", "same")),
            ("horizon", "execution_lag_bars"),
            ("models/labels.py", "models/versioned_panel.py"),
        ),
        Stage(
            "feature_audit",
            ("feature_audit",),
            (Read("features", "fold"), Read("labels", "fold")),
            ("walk_forward", "horizon", "warm_up_sessions", "execution_lag_bars"),
            (
                "features/registry.py",
                "adapters/stage_inputs/audit.py",
                "adapters/stage_inputs/fold.py",
                "models/train_block.py",
                "models/walk_forward.py",
                "monitoring/feature_audit.py",
                "monitoring/feature_statistics.py",
                *_RANK_CORRELATION,
            ),
            by_fold=True,
        ),
    ]


def _model_stages(family: str, configuration: str) -> list[Stage]:
    """Training and prediction of one family."""
    return [
        Stage(
            f"trained_model/{family}",
            (f"trained_model/{family}",),
            (Read("features", "fold"), Read("labels", "fold")),
            ("walk_forward", "seed", "horizon", "warm_up_sessions"),
            ("models", "adapters/stage_inputs/fold.py", *_RANK_CORRELATION),
            by_fold=True,
            configuration=configuration,
        ),
        Stage(
            f"prediction/{family}",
            ("predictions",),
            (Read("features", "same"), Read(f"trained_model/{family}", "model")),
            (),
            ("models",),
            scored=True,
            configuration=configuration,
        ),
    ]


def _lifecycle_stages(scored: Sequence[Read]) -> list[Stage]:
    """Stages that decide which models trade, from drift to states; `scored` are the predictions of every family."""
    labels, shadows = Read("labels", "history"), Read("shadow_predictions", "history")
    tests = (
        *_RANK_CORRELATION,
        "monitoring/model_evidence.py",
        "monitoring/sequential_tests.py",
        "monitoring/lifecycle.py",
        "monitoring/lifecycle_decisions.py",
        "monitoring/lifecycle_gates.py",
        "monitoring/lifecycle_tests.py",
        "monitoring/standings.py",
        "monitoring/served_states.py",
        "adapters/models/configuration_log.py",
        "adapters/models/zoo.py",
    )
    standing = (*tests, "monitoring/model_monitor.py", "adapters/models/champions_in_force.py")
    return [
        Stage(
            "drift",
            ("drift",),
            (
                *(Read(f"{view}_features", "history") for view in VIEWS),
                *scored,
                labels,
                Read("residual_returns", "history"),
            ),
            ("drift", "horizon"),
            (*tests, "monitoring/drift.py", "monitoring/distribution_shift.py", "adapters/stage_inputs/drift.py"),
            scored=True,
        ),
        Stage(
            "challengers",
            ("challengers",),
            (
                Read("drift", "history"),
                Read("features", "history"),
                labels,
                Read("model_configurations", "configurations"),
            ),
            ("walk_forward", "seed", "horizon", "warm_up_sessions", "drift"),
            ("models", "monitoring/drift.py", "adapters/models/challenger_store.py"),
            scored=True,
        ),
        Stage(
            "shadow_predictions",
            ("shadow_predictions",),
            (Read("challengers", "history"), Read("features", "same")),
            (),
            ("models", "adapters/models/challenger_store.py"),
            scored=True,
        ),
        Stage(
            "model_scores",
            ("model_scores",),
            (*scored, shadows, labels, Read("features", "history"), Read("drift", "history")),
            ("lifecycle", "horizon", "drift"),
            (*standing, "monitoring/drift.py"),
            scored=True,
        ),
        Stage(
            "model_states",
            ("model_states",),
            (*scored, shadows, labels, Read("model_scores", "history"), Read("decisions", "decisions")),
            ("lifecycle", "horizon"),
            (*standing, "adapters/models/lifecycle_log.py"),
            scored=True,
        ),
    ]


def _signal_stages(families: Iterable[str], scored: Sequence[Read]) -> list[Stage]:
    """Stages from the scores of who trades to calibrated signals."""
    return [
        Stage(
            "ensemble_weights",
            ("ensemble_weights",),
            (*scored, Read("shadow_predictions", "history"), Read("labels", "history"), Read("model_states", "same")),
            ("ensemble",),
            ("ensemble", *_RANK_CORRELATION, "adapters/models/champions_in_force.py"),
            scored=True,
        ),
        Stage(
            "ensemble",
            ("ensemble",),
            (
                *(Read(f"prediction/{family}", "same") for family in families),
                Read("shadow_predictions", "same"),
                Read("model_states", "same"),
                Read("ensemble_weights", "same"),
            ),
            (),
            ("ensemble",),
            scored=True,
        ),
        Stage(
            "calibrated_signals",
            ("signals",),
            (Read("ensemble", "history"), Read("labels", "history"), Read("residual_returns", "history")),
            ("calibration", "horizon", "execution_lag_bars"),
            ("ensemble", *_RANK_CORRELATION),
            scored=True,
        ),
    ]
