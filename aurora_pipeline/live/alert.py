"""What somebody should hear of: a severity, a text, and a key under which repetitions are one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TICK_FAILED = "tick"
"""Key of what kept a tick from deciding."""
Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True)
class Alert:
    """One thing to tell.

    Attributes
    ----------
    severity : {"info", "warning", "critical"}
        Critical: nothing trades until somebody looks. Warning: trading goes on with less.
    key : str
        What it is about, such as `model:ridge`; the same key is not told again until it has been quiet for a while.
    text : str
        What happened, where, and what to do.
    """

    severity: Severity
    key: str
    text: str
