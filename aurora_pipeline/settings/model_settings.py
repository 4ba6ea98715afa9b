"""Settings of walk-forward, model families, ensemble and calibration."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from aurora_pipeline.settings.section import (
    Count,
    Family,
    Fraction,
    NotNegative,
    Positive,
    PositiveFraction,
    Section,
    View,
)


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
    views: tuple[View, ...] = Field(
        default=get_args(View), description="feature views the models are trained on", min_length=1
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

    processes: Count = Field(default=2, description="folds trained side by side; they share `threads`")
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
        default=True, description="families whose scores say the same thing share their weight (inverse correlation)"
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
