"""Hyper-parameter search inside the train block: settings are tried on its purged tail, never on a test block.

Off unless `models.search_trials` asks for it: with nearly all noise in a target, the best of many settings on one tail
is mostly the luckiest, which is what the deflated Sharpe ratio charges for (Bailey and López de Prado, Journal of Portfolio
Management 40(5), 2014). So every candidate scored on the tail is counted, those of the settings as they are included, and
each trial is recorded with its validation IC.

The sampler is Optuna's tree-structured Parzen estimator (Bergstra et al., "Algorithms for Hyper-Parameter Optimization",
NeurIPS 2011), seeded and in one process, so a search repeats to the last bit. A family declares which of its settings
vary, and within which bounds, as `search_space`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aurora_pipeline.models.model_factory import Model, create_model, search_space
from aurora_pipeline.models.search_space import Range
from aurora_pipeline.models.train_block import TrainBlock
from aurora_pipeline.settings import Settings


def fit_family(family: str, settings: Settings, block: TrainBlock) -> tuple[Model, dict[str, Any]]:
    """Fit one family with the settings as they are or, if asked to, with the best that were tried on the tail.

    Parameters
    ----------
    family : str
        One of :data:`~aurora_pipeline.models.model_factory.FAMILIES`.
    settings : Settings
        `models.search_trials` settings are tried, the given ones first; `seed` seeds the sampler.
    block : TrainBlock
        The train block with its purged tail.

    Returns
    -------
    model : Model
        Fitted on all rows of the block.
    described : dict
        The model's description. `trials` counts every candidate scored on the tail. After a search `searched` lists what was
        tried, in order, with its validation IC, and `settings` says what won; a `validation_ic` that won a search is
        optimistic.
    """
    space = search_space(family)
    trials = settings.models.search_trials
    if trials == 0 or not space:
        model = create_model(family, settings)
        model.fit(block)
        return model, model.describe()
    tried: list[dict[str, Any]] = []
    scored = 0

    def validation_ic(proposed: dict[str, Any]) -> float:
        nonlocal scored
        candidate = create_model(family, _with(settings, proposed))
        ic = candidate.choose(block)
        scored += len(candidate.tail_ic)
        tried.append({"settings": proposed, "validation_ic": ic, "candidates": len(candidate.tail_ic)})
        return ic

    chosen = _maximise(validation_ic, space, _present(settings, space), trials, settings.seed)
    model = create_model(family, _with(settings, chosen))
    model.fit(block)
    return model, model.describe() | {"trials": scored, "settings": chosen, "searched": tried}


def _maximise(
    objective: Any, space: Mapping[str, Range], first: dict[str, Any], trials: int, seed: int
) -> dict[str, Any]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def evaluate(trial: Any) -> float:
        proposed = {
            name: (trial.suggest_int if isinstance(bounds.low, int) else trial.suggest_float)(
                name, bounds.low, bounds.high, log=bounds.logarithmic
            )
            for name, bounds in space.items()
        }
        return float(objective(proposed))

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial(first)
    study.optimize(evaluate, n_trials=trials, n_jobs=1)
    return dict(study.best_params)


def _present(settings: Settings, space: Mapping[str, Range]) -> dict[str, Any]:
    """Settings as they are, moved to the nearest bound where they lie outside."""
    return {name: min(max(getattr(settings.models, name), bounds.low), bounds.high) for name, bounds in space.items()}


def _with(settings: Settings, values: Mapping[str, Any]) -> Settings:
    return settings.model_copy(update={"models": settings.models.model_copy(update=dict(values))})
