"""Which code of the package a function runs, told from the source: the names it uses, the names those use, and so on."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import aurora_pipeline

PACKAGE = Path(aurora_pipeline.__file__).parent


@dataclass(frozen=True)
class _Module:
    """What a file defines, and where what it imports from the package is from."""

    defined: dict[str, ast.stmt]
    imported: dict[str, tuple[str, str]]


def reached_files(file: str, function: str, walls: tuple[str, ...]) -> set[str]:
    """Files of the package, relative to it, that hold something a function uses.

    Parameters
    ----------
    file, function : str
        Where to begin.
    walls : tuple of str
        Beginnings of files that are not looked into.
    """
    return {module for module, _ in _reached(file, function, walls)} - {file}


def reached_attributes(file: str, function: str, walls: tuple[str, ...]) -> set[str]:
    """Names of all attributes and methods a function uses, and all it reaches; parameters as in :func:`reached_files`."""
    definitions = [_parsed(module).defined.get(name) for module, name in _reached(file, function, walls)]
    nodes = [node for definition in definitions if definition for node in ast.walk(definition)]
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)}


@cache
def _reached(file: str, function: str, walls: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    waiting, seen = [(file, function)], {(file, function)}
    while waiting:
        module, name = waiting.pop()
        for used in _used(module, name):
            if used not in seen and not used[0].startswith(walls):
                seen.add(used)
                waiting.append(used)
    return frozenset(seen)


@cache
def _parsed(file: str) -> _Module:
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    defined: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            defined |= {target.id: node for target in targets if isinstance(target, ast.Name)}
    imported = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aurora_pipeline")
        for alias in node.names
    }
    return _Module(defined, imported)


@cache
def _used(file: str, name: str) -> frozenset[tuple[str, str]]:
    module = _parsed(file)
    if name not in module.defined:
        return frozenset(_places(*module.imported[name])) if name in module.imported else frozenset()
    names = {node.id for node in ast.walk(module.defined[name]) if isinstance(node, ast.Name)}
    found = {(file, used) for used in names & module.defined.keys()}
    for used in names & module.imported.keys() - module.defined.keys():
        found |= _places(*module.imported[used])
    return frozenset(found)


def _places(module: str, name: str) -> set[tuple[str, str]]:
    """Where an imported name is defined; all names of a module that is imported whole."""
    whole = _file(f"{module}.{name}")
    if whole:
        return {(whole, defined) for defined in _parsed(whole).defined}
    file = _file(module)
    return {(file, name)} if file else set()


def _file(module: str) -> str | None:
    place = PACKAGE.joinpath(*module.split(".")[1:])
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path.relative_to(PACKAGE).as_posix()
    return None
