"""Settings from file, environment and command line, and back to the file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.errors import SettingsError
from aurora_pipeline.settings.model import Settings
from aurora_pipeline.settings.section import Section

ENVIRONMENT_PREFIX = "AURORA_"
NEAREST = 3
"""Known keys named beside one that is not."""
RESERVED_ENVIRONMENT = frozenset(
    {"AURORA_HOME", "AURORA_SERVED", "AURORA_ALERT_URLS", "AURORA_DAGSTER_POSTGRES", "AURORA_MLFLOW_POSTGRES"}
)


def known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> dict[str, str]:
    """Return every settable key with its description, dotted, such as ``book.name_cap``."""
    keys: dict[str, str] = {}
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            keys |= known_keys(annotation, f"{prefix}{name}.")
        else:
            keys[prefix + name] = field.description or ""
    return keys


def value_of(settings: Settings, key: str) -> Any:
    """Value of a dotted key."""
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value


def settings_markdown() -> str:
    """Return `docs/settings.md`: every key with its default and meaning."""
    defaults = Settings()
    lines = [
        "# Settings",
        "",
        "Made with `aurora settings --markdown > docs/settings.md`. Set a key with `--set key=value`, with the environment",
        "variable `AURORA_SECTION__KEY`, or in `<home>/settings.yaml`; the command line wins over the environment, which wins",
        "over the file. Unknown keys are errors.",
        "",
        "| key | default | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| `{key}` | `{value_of(defaults, key)}` | {meaning} |" for key, meaning in known_keys().items()]
    return "\n".join(lines) + "\n"


def load_settings(
    file: Path | None = None,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Merge file, environment and command line, the later winning.

    Parameters
    ----------
    file : Path, optional
        YAML file with the sections of :class:`Settings`; need not exist.
    overrides : sequence of str
        ``key=value`` with dotted keys; values are read as YAML.
    environment : mapping, optional
        ``AURORA_BOOK__NAME_CAP=0.02`` sets ``book.name_cap``. Default: the process environment.

    Raises
    ------
    SettingsError
        Naming source, key, value, and what would have been valid.
    """
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for key, value in _flatten(_read_yaml(file)).items():
        _assign(merged, origin, key, value, str(file))
    for variable, text in sorted((os.environ if environment is None else environment).items()):
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in RESERVED_ENVIRONMENT:
            key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
            _assign(merged, origin, key, _parse(text, variable), f"environment variable {variable}")
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"--set {text!r}: expected key=value, such as --set book.name_cap=0.02")
        _assign(merged, origin, key.strip(), _parse(value, f"--set {key}"), f"--set {text}")
    try:
        return Settings(**merged)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"] if not isinstance(part, int))
        if not key:
            raise SettingsError(str(first["msg"]).removeprefix("Value error, ")) from error
        source = origin.get(key, "settings")
        expected = f"expected a list, such as {key}=[a, b]" if first["type"] == "tuple_type" else first["msg"]
        raise SettingsError(f"{source}: {key} = {first.get('input')!r}: {expected}") from error


def save_settings(settings: Settings, file: Path) -> None:
    """Write what differs from the defaults, so that the UI and later runs of the home agree with this one."""
    content = settings.model_dump(mode="json", exclude_defaults=True)
    atomic_text(file, yaml.safe_dump(content, sort_keys=True) if content else "{}\n")


def _read_yaml(file: Path | None) -> dict[str, Any]:
    if file is None or not file.exists():
        return {}
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(f"{file}: not readable as YAML: {error}") from error
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{file}: expected a mapping of sections, found {type(content).__name__}")
    return content


def _flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _parse(text: str, source: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(f"{source}: {text!r} is not a YAML value: {error}") from error


def _assign(merged: dict[str, Any], origin: dict[str, str], key: str, value: Any, source: str) -> None:
    if key not in known_keys():
        raise SettingsError(f"{source}: {_unknown(key)}")
    origin[key] = source
    target = merged
    *path, leaf = key.split(".")
    for part in path:
        target = target.setdefault(part, {})
    target[leaf] = value


def _unknown(key: str) -> str:
    """Say what is wrong with a key that is no setting, and which one was probably meant."""
    known = list(known_keys())
    inside = [name for name in known if name.startswith(f"{key}.")]
    if inside:
        return f"{key!r} is a section, not a setting; set a key in it, such as {inside[0]}={value_of(Settings(), inside[0])}"
    section, _, leaf = key.rpartition(".")
    beside = {name.rpartition(".")[2]: name for name in known if name.rpartition(".")[0] == section}
    near = [name for name in known if name.rpartition(".")[2] == leaf]
    near = near or [beside[name] for name in get_close_matches(leaf, beside, NEAREST)]
    near = near or get_close_matches(key, known, NEAREST)
    meant = f"did you mean {' or '.join(near[:NEAREST])}?" if near else "`aurora settings` lists all there are"
    return f"unknown key {key!r}; {meant}"
