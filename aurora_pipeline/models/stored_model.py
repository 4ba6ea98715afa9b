"""Whether a stored model may be taken for what the present inputs would give.

A model's fingerprint enters its manifest last, after its files, its MLflow run and its champion entry are there: a training that
was cut off anywhere before counts as not done and is done again.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from aurora_pipeline.atomic import atomic_text

MANIFEST = "manifest.json"
FINGERPRINT = "fingerprint"


def stamp_fingerprint(directory: Path, fingerprint: str) -> None:
    """Enter the fingerprint into the manifest of a stored model, whole or not at all."""
    manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8")) | {FINGERPRINT: fingerprint}
    atomic_text(directory / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True))


def stored_fingerprint(directory: Path) -> str | None:
    """Fingerprint of a stored model; None where there is none, or where a file is not what the manifest says.

    A damaged model therefore counts as missing and is trained again by whatever brings a home up to date; whoever loads it
    first gets the named error of :func:`~aurora_pipeline.models.training_pipeline.load_trained`.
    """
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        sound = all(
            hashlib.sha256((directory / name).read_bytes()).hexdigest() == digest
            for name, digest in manifest["files"].items()
        )
        fingerprint = manifest.get(FINGERPRINT)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return str(fingerprint) if sound and fingerprint else None
