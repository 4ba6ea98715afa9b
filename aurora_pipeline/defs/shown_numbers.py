"""Numbers as metadata of a run, short enough to be read; the tables keep every digit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DIGITS = 5
"""Significant digits of a number below :data:`WHOLE`."""
WHOLE = 1000.0
"""From here on two decimals are kept: dollars in cents."""


def shown_numbers(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Shorten fractions; whole numbers, texts and other values stay as they are."""
    return {name: _shown(value) if isinstance(value, float) else value for name, value in numbers.items()}


def _shown(value: float) -> float:
    return round(value, 2) if abs(value) >= WHOLE else float(f"{value:.{DIGITS}g}")
