"""Linear algebra whose last bit does not depend on the machine's processors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Bound BLAS to one thread, in a `with` block or as decorator: the order of its sums depends on their number."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        yield
