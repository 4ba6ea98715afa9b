"""One stage on the way from bar to order: what it reads and how far, what it writes, what its numbers depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aurora_pipeline.contracts import FEATURE_FEEDS

Window = Literal["same", "back", "ahead", "history", "feed", "fold", "model", "raw", "decisions", "configurations"]


@dataclass(frozen=True)
class Read:
    """One table a stage reads, and how far.

    Attributes
    ----------
    table : str
        Lake table, or the stage `trained_model/<family>`.
    window : str
        `same` partition; `back` or `ahead` by `sessions`; all `history` up to the partition; a `feed` up to the session's
        close; the `fold`'s train block; the `model` that serves; the market's `raw` bars up to the
        partition (verdicts on bars look back); the `decisions` of persons that hold by then; the `configurations` models are
        to have by the session after.
    sessions : int
        Length of `back` and `ahead`.
    """

    table: str
    window: Window
    sessions: int = 0


@dataclass(frozen=True)
class Stage:
    """One step from bar to order.

    Attributes
    ----------
    name : str
        Name of the step and, unless `assets` says otherwise, of its asset.
    writes : tuple of str
        Lake tables.
    reads : tuple of Read
        Inputs.
    settings : tuple of str
        Settings sections or keys that change the result.
    code : tuple of str
        Files and folders of the package whose source changes the result.
    scored : bool
        Whether the stage starts with the first walk-forward fold instead of the first session.
    by_fold : bool
        Whether its partitions are folds.
    configuration : str
        What the result depends on beside the settings in force: a family's recorded configuration.
    """

    name: str
    writes: tuple[str, ...]
    reads: tuple[Read, ...]
    settings: tuple[str, ...]
    code: tuple[str, ...]
    scored: bool = False
    by_fold: bool = False
    configuration: str = ""


FEEDS = tuple(Read(name, "feed") for name in FEATURE_FEEDS)
