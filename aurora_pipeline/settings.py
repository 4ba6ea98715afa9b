"""One validated settings model: defaults here, `<home>/settings.yaml`, `AURORA_...` environment, `--set`.

The later source wins. An unknown key, wherever it comes from, is an error that lists the keys that exist. Rates are
fractions, money is USD, spans are in the unit their name ends in (`_sessions`, `_bars`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aurora_pipeline.calendar import Frequency
from aurora_pipeline.errors import SettingsError

ENVIRONMENT_PREFIX = "AURORA_"
RESERVED_ENVIRONMENT = frozenset({"AURORA_HOME", "AURORA_SERVED", "AURORA_ALERT_URLS"})
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0.0, le=1.0)]
PositiveFraction = Annotated[float, Field(gt=0.0, le=1.0)]
Family = Literal[
    "ridge",
    "lasso",
    "elastic_net",
    "random_forest",
    "lightgbm",
    "xgboost",
    "catboost",
    "ranker",
    "neural_network",
]


class Section(BaseModel):
    """Base of the sections: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MarketSettings(Section):
    """Which market, and which part of it."""

    directory: Path | None = Field(default=None, description="market folder; the embedded reference market if unset")
    start: date | None = Field(default=None, description="first session; the market's first if unset")
    end: date | None = Field(default=None, description="last session; the market's last if unset")


class QualitySettings(Section):
    """What is refused before it enters the lake."""

    absent_share: Fraction = Field(
        default=0.05, description="share of a session's bars that may be missing before the session blocks"
    )
    jump_sigmas: Positive = Field(
        default=20.0, description="returns beyond this many of their own standard deviations are looked at"
    )
    split_tolerance: Fraction = Field(
        default=0.05, description="distance to a simple split ratio that makes a jump a missing split"
    )
    daily_tolerance: Fraction = Field(
        default=0.01, description="distance from the daily bar beyond which it contradicts a bar"
    )
    eligibility_sessions: Count = Field(default=20, description="sound sessions before a new listing is eligible")
    stale_bars: Count = Field(
        default=6, description="a name without a bar for this many bars has no features at a decision time"
    )


class FeatureSettings(Section):
    """Look-backs and expiries of the features."""

    beta_span_sessions: Count = Field(default=126, description="exponential span of the betas")
    beta_window_sessions: Count = Field(default=252, description="sessions the betas look back over")
    beta_shrinkage: Fraction = Field(default=0.3, description="pull of the betas towards 1")
    minimum_peers: Count = Field(default=3, description="peers needed for a leave-one-out sector return")
    earnings_expiry_sessions: Count = Field(default=80, description="a surprise older than this is missing")
    fundamentals_expiry_sessions: Count = Field(default=160, description="a filing older than this is missing")
    short_interest_expiry_sessions: Count = Field(default=25, description="short interest older than this is missing")
    etf_flows_expiry_sessions: Count = Field(default=5, description="flows older than this are missing")
    monthly_cost_usd: dict[str, Positive] = Field(
        default_factory=dict, description="what a feed costs a month, feed to USD; the audit prints what a dollar buys"
    )
    options_expiry_sessions: Count = Field(default=5, description="an option summary older than this is missing")

    def expiry_of(self, feed: str) -> int | None:
        """Sessions after which a feed's rows are missing; None for feeds that do not expire."""
        return {
            "earnings": self.earnings_expiry_sessions,
            "fundamentals": self.fundamentals_expiry_sessions,
            "short_interest": self.short_interest_expiry_sessions,
            "etf_flows": self.etf_flows_expiry_sessions,
            "options": self.options_expiry_sessions,
        }.get(feed)


class WalkForwardSettings(Section):
    """How time is cut into train and test blocks."""

    scheme: Literal["expanding", "rolling"] = Field(
        default="rolling", description="whether train blocks move with the test block or grow without end"
    )
    train_sessions: Count = Field(
        default=1260, description="length of a rolling train block: five half-lives of recency_half_life_sessions"
    )
    embargo_sessions: Annotated[int, Field(ge=0)] = Field(default=0, description="sessions left out beyond the purge")
    minimum_train_sessions: Count = Field(
        default=40, description="a fold with fewer train sessions stops with an error"
    )
    sample_bars: Count = Field(default=13, description="training uses every k-th decision time of a session")
    cross_validation_blocks: Annotated[int, Field(ge=2)] = Field(
        default=5, description="stretches of the train block on which the penalties of linear models are judged in turn"
    )
    validation_share: Fraction = Field(
        default=0.2, description="purged tail of the train block for penalties and early stopping"
    )


class ModelSettings(Section):
    """The families and their defaults, sensible for noisy returns."""

    families: tuple[Family, ...] = Field(
        default=get_args(Family), description="families that are trained", min_length=1
    )
    views: tuple[Literal["price", "sector", "microstructure", "fundamental", "alternative"], ...] = Field(
        default=("price", "sector", "microstructure", "fundamental", "alternative"),
        description="feature views the models are trained on",
        min_length=1,
    )
    recency_half_life_sessions: Positive = Field(
        default=250.0, description="weight of a train row halves over this age"
    )
    ridge_penalties: tuple[Positive, ...] = Field(
        default=(1e3, 3e3, 1e4, 3e4, 1e5, 3e5),
        description="penalties tried inside the train block, in rows",
        min_length=1,
    )
    lasso_penalties: tuple[PositiveFraction, ...] = Field(
        default=(0.5, 0.3, 0.2, 0.1, 0.05),
        description="penalties tried inside the train block, share of the one that leaves no feature",
        min_length=1,
    )
    elastic_net_penalties: tuple[PositiveFraction, ...] = Field(
        default=(0.5, 0.3, 0.2, 0.1, 0.05),
        description="L1 penalties tried inside the train block, share of the one that leaves no feature",
        min_length=1,
    )
    elastic_net_ridge_rows: NotNegative = Field(default=3e4, description="penalty on squared coefficients, in rows")
    tree_rounds: Count = Field(
        default=300, description="most boosting rounds; a quarter, half, three quarters or all are chosen on the tail"
    )
    tree_learning_rate: Positive = Field(default=0.05, description="step of a boosting round")
    tree_leaves: Count = Field(default=8, description="leaves of a tree grown best leaf first (lightgbm)")
    tree_depth: Count = Field(default=3, description="depth of a tree grown level by level (xgboost)")
    tree_leaf_share: Fraction = Field(default=0.02, description="fewest rows in a leaf, share of the train rows")
    tree_leaf_penalty: NotNegative = Field(default=1000.0, description="L2 penalty on a leaf, in rows")
    tree_row_share: PositiveFraction = Field(default=0.4, description="rows seen by a tree")
    tree_feature_share: PositiveFraction = Field(
        default=0.25, description="features seen by a tree (lightgbm, ranker), a level (catboost) or a split (xgboost)"
    )
    forest_trees: Count = Field(default=100, description="trees of the random forest")
    forest_leaves: Annotated[int, Field(ge=2)] = Field(default=32, description="leaves of a tree of the random forest")
    forest_leaf_share: Fraction = Field(
        default=0.005, description="fewest rows in such a leaf, share of the train rows"
    )
    forest_row_share: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        default=0.3, description="rows drawn for a tree of the random forest"
    )
    forest_feature_share: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        default=0.15, description="features drawn for a tree of the random forest"
    )
    catboost_rounds: Count = Field(default=120, description="most boosting rounds of catboost, chosen like tree_rounds")
    catboost_learning_rate: Positive = Field(default=0.1, description="step of a boosting round of catboost")
    catboost_depth: Annotated[int, Field(ge=1, le=12)] = Field(
        default=3, description="depth of an oblivious tree, which asks one question per level"
    )
    ranker_rounds: Count = Field(default=80, description="most boosting rounds of the ranker, chosen like tree_rounds")
    ranker_learning_rate: Positive = Field(default=0.1, description="step of a boosting round of the ranker")
    ranker_grades: Annotated[int, Field(ge=2, le=31)] = Field(
        default=10, description="relevance grades the names of a decision time are cut into"
    )
    network_count: Count = Field(default=8, description="networks that are averaged")
    network_hidden: Count = Field(default=8, description="hidden units of a network")
    network_epochs: Count = Field(
        default=8,
        description="most passes over the train rows; a quarter, half, three quarters or all, chosen on the tail",
    )
    network_learning_rate: Positive = Field(default=0.001, description="step of the optimiser")
    network_weight_decay: NotNegative = Field(default=10.0, description="decoupled decay, in steps of the optimiser")
    network_batch_rows: Count = Field(default=1024, description="rows of a step of the optimiser")
    search_trials: Annotated[int, Field(ge=0)] = Field(
        default=0, description="settings tried per family and fold inside the train block; 0 uses those given here"
    )


class TrainingSettings(Section):
    """How the training of folds is carried out; nothing here changes a model."""

    processes: Count = Field(
        default=2, description="folds trained side by side; each process gets its share of `threads`"
    )
    retries: Annotated[int, Field(ge=0)] = Field(
        default=1,
        description="further attempts after a family's training broke off; what is wrong with data or settings is not retried",
    )
    retry_seconds: NotNegative = Field(default=2.0, description="pause before a further attempt; doubles each time")


class EnsembleSettings(Section):
    """Weights of the families."""

    half_life_sessions: Positive = Field(
        default=40.0, description="weight of a session's matured IC halves over this age"
    )
    minimum_sessions: Count = Field(default=10, description="matured sessions before weights leave equality")
    shrinkage: Fraction = Field(default=0.5, description="pull towards equal weights")
    cap: Fraction = Field(default=0.4, description="largest weight; 1 / number of positive families if that is more")
    correlation_aware: bool = Field(
        default=False, description="families whose scores say the same thing share their weight (inverse correlation)"
    )


class CalibrationSettings(Section):
    """Score to expected return and interval."""

    minimum_sessions: Count = Field(default=5, description="matured sessions before a signal counts as calibrated")
    half_life_sessions: Positive = Field(default=60.0, description="weight of a matured session halves over this age")
    prior_sessions: NotNegative = Field(
        default=2.0,
        description="strength of the prior IC of zero, in sessions, beside the shrinkage by signal to noise",
    )
    volatility_span_sessions: Positive | None = Field(
        default=None, description="span of the residual volatility forecast; 20 at 5min, 60 at session if unset"
    )
    volatility_shrinkage: Fraction | None = Field(
        default=None,
        description="pull of a name's variance forecast towards the median name's; 0.1 at 5min, 0.3 at session if unset",
    )
    conformal_step: Fraction = Field(default=0.02, description="adaptive conformal update per session")

    def volatility_span(self, bars_per_session: int) -> float:
        """Span of the volatility forecast, sessions: one return per session says less than 78, so it takes more of them."""
        return self.volatility_span_sessions or (60.0 if bars_per_session == 1 else 20.0)

    def volatility_pull(self, bars_per_session: int) -> float:
        """Share of the median variance in a forecast: more where the forecast rests on fewer returns."""
        if self.volatility_shrinkage is not None:
            return self.volatility_shrinkage
        return 0.3 if bars_per_session == 1 else 0.1


class CostSettings(Section):
    """What a trade costs; charged on the trade, not on the position."""

    half_spread_floor: NotNegative = Field(default=0.0001, description="smallest half-spread, fraction of price")
    half_spread_cap: NotNegative = Field(default=0.0050, description="largest half-spread estimate, fraction of price")
    fee_rate: NotNegative = Field(default=0.00002, description="commissions, fraction of traded value")
    regulatory_fees: bool = Field(default=True, description="charge the SEC's and FINRA's dated fees on sales")
    impact_coefficient: NotNegative = Field(default=0.7, description="Y of Y * sigma * sqrt(Q / ADV), sigma daily")
    borrow_rate: NotNegative = Field(default=0.005, description="yearly rate on shorts, fraction")
    borrow_rates: dict[str, NotNegative] = Field(
        default_factory=dict, description="yearly rate on shorts of single symbols, where it is known, fraction"
    )
    unknown_borrow: Literal["default", "no_short"] = Field(
        default="default",
        description="a symbol neither the feed `borrow` nor borrow_rates knows costs borrow_rate, or is not sold short",
    )
    borrow_expiry_sessions: Count = Field(
        default=10, description="a rate of the feed `borrow` older than this is unknown"
    )
    stress: Positive = Field(default=1.0, description="every cost times this: 2 and 3 are the stress cases")


class BookSettings(Section):
    """The book and every limit it obeys. Fractions of NAV unless said otherwise."""

    nav: Positive = Field(default=10_000_000.0, description="starting capital, USD")
    long_only: bool = Field(default=False, description="no short positions")
    trade_uncalibrated: bool = Field(default=False, description="trade before the signal is calibrated")
    utilisation_cap: Fraction = Field(default=0.22, description="gross exposure")
    net_cap: Fraction = Field(default=0.10, description="absolute net exposure, fraction of the utilisation cap")
    name_cap: Fraction = Field(default=0.01, description="absolute weight of one name")
    sector_cap: Fraction = Field(default=0.05, description="absolute net weight of one sector")
    volatility_target: Fraction = Field(default=0.008, description="yearly volatility of NAV")
    risk_aversion: Positive = Field(default=20.0, description="weight of variance against alpha when sizing")
    sizing: Literal["cost_aware", "one_horizon", "cost_blind", "proportional"] = Field(
        default="cost_aware",
        description="an edge is valued over its measured life; baselines: over one horizon, without costs, or proportional to it",
    )
    assumed_ic: Fraction | None = Field(
        default=None,
        description="expected return is this IC * volatility * score instead of the calibrated one: a baseline",
    )
    holding_horizons: Positive | None = Field(
        default=None, description="horizons an edge may pay for; measured from the signal's own decay if unset"
    )
    turnover_day: Fraction = Field(default=0.05, description="budget per session")
    turnover_week: Fraction = Field(default=0.15, description="budget per 5 sessions")
    turnover_month: Fraction = Field(default=0.50, description="budget per 21 sessions, paced with carry")
    build_sessions: Count = Field(default=10, description="sessions over which the first positions are built")
    participation: Fraction = Field(default=0.02, description="share of a bar's volume an order may take")
    drawdown_start: NotNegative = Field(
        default=2.0, description="drawdown in volatility targets at which exposure starts to shrink"
    )
    drawdown_flat: Positive = Field(default=5.0, description="drawdown in volatility targets at which the book is flat")
    drawdown_pause_sessions: Count = Field(
        default=10, description="sessions a drawdown keeps the book flat before it starts again"
    )
    drawdown_restart: Fraction = Field(default=0.25, description="share of the exposure it starts again with")
    breaker_daily_loss: Positive = Field(
        default=6.0, description="loss of a session in daily volatility targets after which nothing grows"
    )
    breaker_reject_share: Fraction = Field(
        default=0.5, description="share of a session's orders refused, of at least 10, after which nothing grows"
    )
    breaker_stale_share: Fraction = Field(
        default=0.5, description="share of eligible names without a bar above which nothing grows"
    )
    breaker_half_spread: Positive = Field(
        default=0.004, description="median half-spread above which nothing grows, fraction of price"
    )
    real_money_account: str | None = Field(
        default=None, description="account of a broker that reaches real money; none ships, and unset means paper only"
    )
    capital_steps: tuple[Fraction, ...] = Field(
        default=(0.1, 0.25, 0.5, 1.0),
        description="shares of the capital a live book earns one after another",
        min_length=1,
    )


class LiveSettings(Section):
    """The five-minute loop: how long it waits, when it holds, what it keeps."""

    wait_seconds: Positive = Field(default=90.0, description="how long an armed tick waits for its bar")
    settle_seconds: NotNegative = Field(
        default=2.0, description="how long it waits for symbols missing from a bar that nobody has closed"
    )
    coverage: Fraction = Field(
        default=0.8, description="share of the eligible stocks a bar must have; below it the tick holds"
    )
    late_seconds: Positive = Field(default=240.0, description="age beyond which a bar is not decided any more")
    clock_skew_seconds: NotNegative = Field(default=5.0, description="how far ahead of the clock a bar may end")
    minimum_families: Count = Field(default=1, description="families that must give scores; below it the tick holds")
    disk_reserve_mb: Count = Field(default=500, description="free space below which nothing is decided")
    tick_sessions: Count = Field(default=5, description="sessions whose tick runs and decision files are kept")


class LifecycleSettings(Section):
    """Which models trade: tests, gates and who decides. Sessions count matured ones where a test is meant."""

    approval: bool = Field(
        default=False, description="promotions and retirements by test wait for `aurora models promote` or `retire`"
    )
    worthwhile_ic: Positive = Field(
        default=0.02, description="a model is retired on evidence that its IC is below this"
    )
    least_gain: Positive = Field(default=0.01, description="IC gain over the champion the promotion test is tuned to")
    retirement_rate: Rate = Field(
        default=0.05, description="chance per year of retiring a model whose IC is worthwhile_ic"
    )
    promotion_rate: Rate = Field(
        default=0.05, description="chance that any challenger that is no better is ever promoted, all of them together"
    )
    warning_rate: Rate = Field(default=0.25, description="retirement_rate at which a champion goes on probation")
    minimum_sessions: Count = Field(default=42, description="matured sessions before a test may decide anything")
    gate_sessions: Count = Field(
        default=3, description="unsound sessions in a row that retire a model, sound ones that admit a candidate"
    )
    recovery_sessions: Count = Field(default=5, description="sound sessions in a row that readmit a model after a gate")
    least_coverage: Fraction = Field(default=0.8, description="share of rows a sound model scores")
    most_constant: Fraction = Field(default=0.5, description="share of decision times with a constant score, at most")
    most_features_lost: Fraction = Field(
        default=0.3, description="share of a model's features that may go missing against its train block"
    )


class DriftSettings(Section):
    """What counts as drift, and how often it may ask for a challenger."""

    window_sessions: Count = Field(default=5, description="newest sessions that are compared")
    reference_sessions: Count = Field(default=60, description="sessions before them they are compared with")
    residual_sessions: Count = Field(default=10, description="newest matured sessions whose IC is compared")
    psi: Positive = Field(default=0.25, description="population stability index above which a distribution has shifted")
    missing: Fraction = Field(default=0.5, description="rise of the missing share above which a feature is lost")
    feature_share: Fraction = Field(
        default=0.5, description="share of drifted features above which every family is asked"
    )
    z: Positive = Field(default=3.0, description="standard deviations of an IC's fall or of a regime's change")
    challenger_half_life_sessions: Positive = Field(
        default=15.0, description="models.recency_half_life_sessions of a challenger: what it is to do differently"
    )
    wait_sessions: Count = Field(default=21, description="sessions between two challengers of a family")
    most_challengers: Annotated[int, Field(ge=0)] = Field(
        default=3, description="challengers of a family in 252 sessions; 0 trains none"
    )


class Settings(Section):
    """Everything a run can be told."""

    seed: int = Field(default=1, description="seed of everything random", ge=0)
    threads: Count = Field(default=2, description="threads a model may use")
    horizon: Count | None = Field(default=None, description="label length in bars; 78 at 5min, 5 at session if unset")
    execution_lag_bars: Literal[1] = Field(default=1, description="a decision is filled in the next bar")
    warm_up_sessions: Count | None = Field(
        default=None, description="sessions before the first fold; 60 at 5min, 504 at session"
    )
    market: MarketSettings = MarketSettings()
    quality: QualitySettings = QualitySettings()
    features: FeatureSettings = FeatureSettings()
    walk_forward: WalkForwardSettings = WalkForwardSettings()
    models: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    ensemble: EnsembleSettings = EnsembleSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    costs: CostSettings = CostSettings()
    book: BookSettings = BookSettings()
    live: LiveSettings = LiveSettings()
    lifecycle: LifecycleSettings = LifecycleSettings()
    drift: DriftSettings = DriftSettings()

    def horizon_bars(self, frequency: Frequency) -> int:
        """Label length in bars."""
        return self.horizon or (78 if frequency == "5min" else 5)

    def warm_up(self, frequency: Frequency) -> int:
        """Sessions before the first scored one."""
        return self.warm_up_sessions or (60 if frequency == "5min" else 504)

    def purge_bars(self, frequency: Frequency) -> int:
        """Execution lag plus horizon: what separates a train row from the first test row."""
        return self.execution_lag_bars + self.horizon_bars(frequency)


def known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> dict[str, str]:
    """Return every settable key with its description, dotted, such as ``book.name_cap``."""
    keys: dict[str, str] = {}
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            keys |= known_keys(annotation, f"{prefix}{name}.")
        else:
            keys[prefix + name] = field.description or ""
    return keys


def value_of(settings: Settings, key: str) -> Any:
    """Value of a dotted key."""
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value


def settings_markdown() -> str:
    """Return `docs/settings.md`: every key with its default and meaning."""
    defaults = Settings()
    lines = [
        "# Settings",
        "",
        "Made with `aurora settings --markdown > docs/settings.md`. Set a key with `--set key=value`, with the environment",
        "variable `AURORA_SECTION__KEY`, or in `<home>/settings.yaml`; the command line wins over the environment, which wins",
        "over the file. Unknown keys are errors.",
        "",
        "| key | default | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| `{key}` | `{value_of(defaults, key)}` | {meaning} |" for key, meaning in known_keys().items()]
    return "\n".join(lines) + "\n"


def load_settings(
    file: Path | None = None,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Merge file, environment and command line, the later winning.

    Parameters
    ----------
    file : Path, optional
        YAML file with the sections of :class:`Settings`; need not exist.
    overrides : sequence of str
        ``key=value`` with dotted keys; values are read as YAML.
    environment : mapping, optional
        ``AURORA_BOOK__NAME_CAP=0.02`` sets ``book.name_cap``. Default: the process environment.

    Raises
    ------
    SettingsError
        Naming source, key, value, and what would have been valid.
    """
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for key, value in _flatten(_read_yaml(file)).items():
        _assign(merged, origin, key, value, str(file))
    for variable, text in sorted((os.environ if environment is None else environment).items()):
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in RESERVED_ENVIRONMENT:
            key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
            _assign(merged, origin, key, _parse(text, variable), f"environment variable {variable}")
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"--set {text!r}: expected key=value, such as --set book.name_cap=0.02")
        _assign(merged, origin, key.strip(), _parse(value, f"--set {key}"), f"--set {text}")
    try:
        return Settings(**merged)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"] if not isinstance(part, int))
        source = origin.get(key, "settings")
        raise SettingsError(f"{source}: {key} = {first.get('input')!r}: {first['msg']}") from error


def save_settings(settings: Settings, file: Path) -> None:
    """Write what differs from the defaults, so that the UI and later runs of the home agree with this one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = settings.model_dump(mode="json", exclude_defaults=True)
    temporary = file.with_suffix(".tmp")
    temporary.write_text(yaml.safe_dump(content, sort_keys=True) if content else "{}\n", encoding="utf-8")
    temporary.replace(file)


def _read_yaml(file: Path | None) -> dict[str, Any]:
    if file is None or not file.exists():
        return {}
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(f"{file}: not readable as YAML: {error}") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{file}: expected a mapping of sections, found {type(content).__name__}")
    return content


def _flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _parse(text: str, source: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(f"{source}: {text!r} is not a YAML value: {error}") from error


def _assign(merged: dict[str, Any], origin: dict[str, str], key: str, value: Any, source: str) -> None:
    if key not in known_keys():
        section = key.rpartition(".")[0]
        near = [name for name in known_keys() if name.rpartition(".")[0] == section] or sorted(known_keys())
        raise SettingsError(f"{source}: unknown key {key!r}; known there: {', '.join(near)}")
    origin[key] = source
    target = merged
    *path, leaf = key.split(".")
    for part in path:
        target = target.setdefault(part, {})
    target[leaf] = value
