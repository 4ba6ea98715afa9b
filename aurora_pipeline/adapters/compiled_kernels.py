"""Compiled kernels: made when the package is set up, loaded from their cache ahead of the first call that needs them.

    python -m aurora_pipeline.adapters.compiled_kernels            compiles what `kernel_signatures.json` lists
    python -m aurora_pipeline.adapters.compiled_kernels --record   lists what the cache holds, after a run that used everything

numba compiles a kernel at its first call with new argument types, for all features together over a minute of the first run. The
list says which types the package calls them with; one that is missing there is compiled at its first call as ever.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from pathlib import Path
from typing import Any

from numba import types
from numba.core.registry import CPUDispatcher

from aurora_pipeline.adapters.worker_processes import worker_pool

PACKAGE = "aurora_pipeline"
DOMAIN = ("market", "features", "models", "ensemble", "policy", "execution", "monitoring")
"""Folders with kernels."""
SIGNATURES = Path(__file__).with_name("kernel_signatures.json")
Signature = tuple[types.Type, ...]


def compile_kernels(processes: int = 2) -> int:
    """Compile every listed version into the cache, side by side; returns how many there are."""
    listed: dict[str, list[list[Any]]] = json.loads(SIGNATURES.read_text(encoding="utf-8"))
    modules: dict[str, dict[str, list[list[Any]]]] = {}
    for name, versions in listed.items():
        modules.setdefault(name.partition(":")[0], {})[name] = versions
    with worker_pool(processes) as pool:
        return sum(pool.map(_compile, modules.values()))


def load_kernels() -> int:
    """Load every cached version of the kernels of the package's imported modules; returns how many versions were loaded.

    A first call finds its version in the cache by itself, one after the other: for all features together that takes longer than
    computing them. A kernel without a cache is left alone.
    """
    loaded = 0
    for kernel in _imported_kernels().values():
        for signature in _cached_signatures(kernel):
            kernel.compile(signature)
            loaded += 1
    return loaded


def record_signatures() -> int:
    """List the versions in the cache in :data:`SIGNATURES`; returns how many there are.

    A version for a literal value is left out: only another kernel asks for it, and compiles it with itself.
    """
    for module in pkgutil.walk_packages(importlib.import_module(PACKAGE).__path__, f"{PACKAGE}."):
        if module.name.split(".")[1] in DOMAIN:
            importlib.import_module(module.name)
    found = {}
    for name, kernel in sorted(_imported_kernels().items()):
        listed = [
            [encode(argument) for argument in signature]
            for signature in _cached_signatures(kernel)
            if not any(isinstance(argument, types.Literal) for argument in signature)
        ]
        if listed:
            found[name] = sorted(listed, key=str)
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(versions)}" for name, versions in found.items())
    SIGNATURES.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    return sum(map(len, found.values()))


def encode(argument: types.Type) -> Any:
    """Write the type of an argument in JSON: a name, `[dtype, dimensions, layout, mutable]`, or a named tuple's parts."""
    if isinstance(argument, types.Array):
        return [str(argument.dtype), argument.ndim, argument.layout, argument.mutable]
    if isinstance(argument, types.NamedTuple):
        of = argument.instance_class
        return {"tuple": f"{of.__module__}:{of.__qualname__}", "parts": [encode(part) for part in argument.types]}
    return str(argument)


def decode(written: Any) -> types.Type:
    """Read what :func:`encode` wrote."""
    if isinstance(written, list):
        dtype, dimensions, layout, mutable = written
        return types.Array(decode(dtype), dimensions, layout, readonly=not mutable)
    if isinstance(written, dict):
        return types.NamedTuple([decode(part) for part in written["parts"]], _named(written["tuple"]))
    return {"bool": types.boolean, "none": types.none}.get(written) or getattr(types, written)


def _compile(listed: dict[str, list[list[Any]]]) -> int:
    for name, versions in listed.items():
        for version in versions:
            _named(name).compile(tuple(map(decode, version)))
    return sum(map(len, listed.values()))


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _imported_kernels() -> dict[str, CPUDispatcher]:
    """Kernels of the package's imported modules, by `module:name`."""
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == PACKAGE]
    return {
        f"{value.py_func.__module__}:{value.py_func.__qualname__}": value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, CPUDispatcher)
    }


def _cached_signatures(kernel: CPUDispatcher) -> list[Signature]:
    """Argument types of a kernel's versions in the cache; numba has no public list of them."""
    cache = getattr(kernel._cache, "_cache_file", None)
    return [] if cache is None else [key[0] for key in cache._load_index()]


if __name__ == "__main__":
    record_signatures() if "--record" in sys.argv[1:] else compile_kernels()
