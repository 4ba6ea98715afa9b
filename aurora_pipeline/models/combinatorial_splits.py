"""Combinatorial purged splits: every choice of k out of N blocks of time as the test, the rest as train.

1. :func:`time_groups`: sessions in N blocks of nearly equal length, in time order;
2. :func:`combinatorial_splits`: one split per choice of k blocks, C(N, k) of them;
3. :func:`split_labels`: rows of the test blocks, and those of the other blocks whose label interval stays clear of them;
4. :func:`split_violations`: the check that no train row got past 3;
5. :func:`backtest_paths`: how the splits' test blocks join to k / N * C(N, k) whole histories.

Unlike in a walk-forward, a train block here may come after a test block, so that many histories can be tested. What separates
the two follows from `matured_at`, hence from execution lag and horizon; nothing is typed in. The *purge* takes out every train
row whose interval from decision to maturity meets a test block, which runs from its first decision to its last maturity. The
*embargo* takes out as much again after a test block: all rows decided before the labels that were open at the block's last
maturity had matured themselves. López de Prado, "Advances in Financial Machine Learning", 2018, sections 7.4 and 12.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations, pairwise

import polars as pl

from aurora_pipeline.errors import TrainingError


@dataclass(frozen=True)
class CombinatorialSplit:
    """One choice of test blocks.

    Attributes
    ----------
    test_groups : tuple of int
        Places of the test blocks among the N blocks, ascending.
    test_blocks : tuple of (date, date)
        First and last session of each unbroken stretch of test sessions; neighbouring blocks are one stretch.
    """

    test_groups: tuple[int, ...]
    test_blocks: tuple[tuple[date, date], ...]

    def tests(self) -> pl.Expr:
        """Whether a row's `session` lies in a test block."""
        return pl.any_horizontal(pl.col("session").is_between(first, last) for first, last in self.test_blocks)


def time_groups(sessions: Sequence[date], groups: int) -> list[list[date]]:
    """Cut sessions into blocks whose lengths differ by one at most.

    Parameters
    ----------
    sessions : sequence of date
        In time order.
    groups : int
        Number of blocks N, at least 2.

    Raises
    ------
    TrainingError
        Fewer than 2 blocks are asked for, or there are fewer sessions than blocks.
    """
    if not 2 <= groups <= len(sessions):
        raise TrainingError(
            f"{len(sessions)} session(s) cannot be cut into {groups} blocks; expected at least 2 blocks of at least one "
            "session each, so ask for fewer blocks or use a longer span"
        )
    bounds = [len(sessions) * k // groups for k in range(groups + 1)]
    return [list(sessions[start:stop]) for start, stop in pairwise(bounds)]


def combinatorial_splits(sessions: Sequence[date], groups: int, test_groups: int) -> list[CombinatorialSplit]:
    """Return every split of the sessions with `test_groups` of `groups` blocks as the test.

    Parameters
    ----------
    sessions : sequence of date
        In time order.
    groups, test_groups : int
        N and k, 1 <= k < N.

    Returns
    -------
    list of CombinatorialSplit
        C(N, k) splits in lexicographic order of their test blocks.

    Raises
    ------
    TrainingError
        There is no such split.
    """
    blocks = time_groups(sessions, groups)
    if not 1 <= test_groups < groups:
        raise TrainingError(f"{test_groups} of {groups} blocks as the test leave no split; expected 1 to {groups - 1}")
    splits = []
    for chosen in combinations(range(groups), test_groups):
        stretches: list[tuple[date, date]] = []
        for place, group in enumerate(chosen):
            joins = place > 0 and chosen[place - 1] == group - 1
            first = stretches.pop()[0] if joins else blocks[group][0]
            stretches.append((first, blocks[group][-1]))
        splits.append(CombinatorialSplit(chosen, tuple(stretches)))
    return splits


def split_labels(labels: pl.DataFrame, split: CombinatorialSplit) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Divide labels into purged and embargoed train rows, and test rows.

    Parameters
    ----------
    labels : polars.DataFrame
        `session`, `decision_time`, `matured_at` and whatever else, such as table `labels`.
    split : CombinatorialSplit
        Which sessions are the test.

    Returns
    -------
    train, test : polars.DataFrame
        Rows of `labels` in their order.
    """
    test = labels.filter(split.tests())
    train = labels.filter(~split.tests())
    for first, last in split.test_blocks:
        block = test.filter(pl.col("session").is_between(first, last))
        if block.is_empty():
            continue
        opens, ends = block.get_column("decision_time").min(), block.get_column("matured_at").max()
        held_open = labels.filter(pl.col("decision_time") <= ends).get_column("matured_at").max()
        train = train.filter((pl.col("matured_at") < opens) | (pl.col("decision_time") > held_open))
    return train, test


def split_violations(train: pl.DataFrame, test: pl.DataFrame, split: CombinatorialSplit) -> pl.DataFrame:
    """Return the train rows whose interval from decision to maturity meets a test block; empty when the purge holds.

    Parameters
    ----------
    train, test : polars.DataFrame
        Result of :func:`split_labels`.
    split : CombinatorialSplit
        The split they belong to.
    """
    touches = pl.lit(value=False)
    for first, last in split.test_blocks:
        block = test.filter(pl.col("session").is_between(first, last))
        if not block.is_empty():
            opens, ends = block.get_column("decision_time").min(), block.get_column("matured_at").max()
            touches |= (pl.col("decision_time") <= ends) & (pl.col("matured_at") >= opens)
    return train.filter(touches | split.tests())


def backtest_paths(splits: Sequence[CombinatorialSplit]) -> list[list[int]]:
    """Join test blocks of different splits to whole histories, each block of each split used once.

    Parameters
    ----------
    splits : sequence of CombinatorialSplit
        All C(N, k) splits, from :func:`combinatorial_splits`.

    Returns
    -------
    list of list of int
        One path per row: for each of the N blocks, the place in `splits` of the split that predicts it.
    """
    groups = 1 + max(group for split in splits for group in split.test_groups)
    by_group = [[place for place, split in enumerate(splits) if group in split.test_groups] for group in range(groups)]
    return [list(path) for path in zip(*by_group, strict=True)]
