"""Worker processes that never outlive who started them: not after an error, not after SIGTERM, not after `kill -9`."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

_GRACE_SECONDS = 5.0


@contextmanager
def worker_pool(
    processes: int, initializer: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """Give a pool of spawned processes; where the block is left by an error or a signal, they are ended at once.

    Parameters
    ----------
    processes : int
    initializer : callable, optional
        Run in each of them first.
    arguments : tuple
        Of the initializer.
    """
    context = multiprocessing.get_context("spawn")
    before = {child.pid for child in multiprocessing.active_children()}
    with (
        terminated_as_exit(),
        ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(initializer, arguments)) as pool,
    ):
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            _end([child for child in multiprocessing.active_children() if child.pid not in before])
            raise


@contextmanager
def terminated_as_exit() -> Iterator[None]:
    """Leave through the normal way out on SIGTERM, so that nothing is left behind; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _end(children: Sequence[multiprocessing.process.BaseProcess]) -> None:
    """End processes and wait until they are gone; one that does not go by itself is killed."""
    for child in children:
        child.terminate()
    for child in children:
        child.join(_GRACE_SECONDS)
        if child.is_alive():
            child.kill()
            child.join()


def end_with_parent() -> None:
    """Let this process end when the one that started it is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _begin(initializer: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    end_with_parent()
    if initializer is not None:
        initializer(*arguments)


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _leave(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
