"""One sha256 over the content of a market folder: column names, types and values, not the bytes of the files.

`python -m aurora_pipeline.market.simulation.content_hash DIR` prints it. Values were rounded before they were
written, and no compression or library version enters, so the same simulation gives the same hash.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import polars as pl


def content_hash(directory: Path) -> str:
    """Hash every Parquet file's table and every YAML file's bytes, in the order of their paths."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.suffix not in {".parquet", ".yaml"}:
            continue
        digest.update(path.relative_to(directory).as_posix().encode())
        if path.suffix == ".yaml":
            digest.update(path.read_bytes())
        else:
            _add_table(digest, pl.read_parquet(path))
    return digest.hexdigest()


def _add_table(digest: hashlib._Hash, frame: pl.DataFrame) -> None:
    for name, kind in frame.schema.items():
        digest.update(f"{name}:{kind}:{frame.height}".encode())
        column = frame[name]
        digest.update(column.is_null().to_numpy().tobytes())
        if kind == pl.String:
            digest.update("\n".join(column.fill_null("")).encode())
        else:
            whole = column.to_physical()
            digest.update(whole.fill_null(0).to_numpy().astype("<f8" if whole.dtype.is_float() else "<i8").tobytes())


def main(arguments: list[str] | None = None) -> None:
    """Print the hash of each folder."""
    parser = argparse.ArgumentParser(
        prog="python -m aurora_pipeline.market.simulation.content_hash", description=__doc__
    )
    parser.add_argument("directory", type=Path, nargs="+")
    for directory in parser.parse_args(arguments).directory:
        sys.stdout.write(f"{content_hash(directory)}  {directory.name}\n")


if __name__ == "__main__":
    main()
