"""What happens to folds when the processes that train them do not come back, with the processes themselves played."""

from types import SimpleNamespace

import pytest

from aurora_pipeline.adapters.progress import listening
from aurora_pipeline.defs import training
from aurora_pipeline.defs.training import FoldResult, thread_shares, train_folds
from aurora_pipeline.settings import Settings

FOLDS = ["2024-08", "2024-09", "2024-10"]


class Played:
    """Stands in for the processes: `deadly` folds kill theirs and every other one of the same pool that is not done yet."""

    def __init__(self, deadly, times):
        self.left = dict.fromkeys(deadly, times)
        self.pools = []

    def __call__(self, home, folds, processes, threads):
        self.pools.append((list(folds), processes, threads))
        for fold in folds:
            if self.left.get(fold, 0):
                self.left[fold] -= 1
                return
            yield FoldResult(fold, f"run-{fold}")


def _trained(monkeypatch, played, **settings):
    monkeypatch.setattr(training, "_in_processes", played)
    launcher = SimpleNamespace(home=SimpleNamespace(path="home"), launched=[])
    return train_folds(launcher, Settings.model_validate(settings), FOLDS), launcher.launched


def test_threads_are_handed_on_and_results_come_in_the_order_asked_for(monkeypatch):
    played = Played([], 0)
    seen = []
    with listening(lambda what, done, total: seen.append((what, done, total))):
        results, launched = _trained(monkeypatch, played, threads=4)
    assert played.pools == [(FOLDS, 2, 4)]
    assert [result.fold for result in results] == FOLDS
    assert launched == [f"run-{fold}" for fold in FOLDS]
    assert seen == [("training", done, 3) for done in range(4)]


@pytest.mark.parametrize(
    ("folds", "processes", "threads", "shares"),
    [
        (4, 2, 2, [1, 1, 1, 1]),
        (3, 2, 2, [1, 1, 2]),
        (5, 3, 8, [2, 2, 2, 4, 4]),
        (3, 2, 1, [1, 1, 1]),
        (1, 1, 4, [4]),
    ],
)
def test_folds_left_over_share_all_threads(folds, processes, threads, shares):
    assert thread_shares(folds, processes, threads) == shares


def test_a_fold_whose_process_died_once_is_trained_again_by_itself(monkeypatch):
    played = Played(["2024-09"], 1)
    results, _ = _trained(monkeypatch, played)
    assert played.pools == [(FOLDS, 2, 2), (["2024-09"], 1, 2), (["2024-10"], 1, 2)]
    assert not any(result.failed for result in results)


def test_a_fold_that_always_kills_its_process_fails_alone_and_by_name(monkeypatch):
    results, launched = _trained(monkeypatch, Played(["2024-09"], 99), training={"retries": 2})
    failed = {result.fold: result.failed for result in results if result.failed}
    assert failed == {"2024-09": {"process": "the process that trained the fold died, 3 time(s)"}}
    assert launched == ["run-2024-08", "run-2024-10"]


@pytest.mark.parametrize("settings", [{"training": {"processes": 1}}, {}])
def test_one_fold_or_one_process_needs_no_other_process(monkeypatch, settings):
    def never(*_):
        raise AssertionError("spawned a process")

    asked = []

    def attempt(job, partition):
        asked.append((job, partition))
        return f"run-{partition}", {"trained_model/ridge": "why"}

    monkeypatch.setattr(training, "_in_processes", never)
    launcher = SimpleNamespace(attempt=attempt, launched=[])
    folds = FOLDS if settings else FOLDS[:1]
    results = train_folds(launcher, Settings.model_validate(settings), folds)
    assert asked == [("train_fold", fold) for fold in folds]
    assert results[0] == FoldResult(folds[0], f"run-{folds[0]}", {"trained_model/ridge": "why"})
