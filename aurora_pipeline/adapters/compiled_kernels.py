"""Compiled kernels, loaded from their cache ahead of the first call that needs them."""

from __future__ import annotations

import sys

from numba.core.registry import CPUDispatcher

PACKAGE = "aurora_pipeline"


def load_kernels() -> int:
    """Load every cached version of the kernels of the package's imported modules; returns how many versions were loaded.

    A first call finds its version in the cache by itself, one after the other: for all features together that takes longer than
    computing them. A kernel without a cache is left alone.
    """
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == PACKAGE]
    kernels = {
        id(value): value for module in modules for value in vars(module).values() if isinstance(value, CPUDispatcher)
    }
    loaded = 0
    for kernel in kernels.values():
        for signature in _cached_signatures(kernel):
            kernel.compile(signature)
            loaded += 1
    return loaded


def _cached_signatures(kernel: CPUDispatcher) -> list[tuple[object, ...]]:
    """Argument types of a kernel's versions in the cache; numba has no public list of them."""
    cache = getattr(kernel._cache, "_cache_file", None)
    return [] if cache is None else [key[0] for key in cache._load_index()]
