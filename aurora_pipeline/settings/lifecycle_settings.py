"""Settings of the models' life: states, drift, challengers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from aurora_pipeline.settings.section import Count, Fraction, Positive, Rate, Section


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
