"""One sha256 over the content of a market folder: column names, types and values, not the bytes of the files.

`python -m aurora_pipeline.market.simulation.content_hash DIR` prints it, with `--presets reference --seeds 1,2,3` those
of markets simulated on the spot. Values were rounded before they were
written, and no compression or library version enters, so the same simulation gives the same hash.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path

import polars as pl

from aurora_pipeline.market.simulation.folder import simulate_market


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
    """Print the hash of each folder, or of freshly simulated markets as table rows."""
    parser = argparse.ArgumentParser(
        prog="python -m aurora_pipeline.market.simulation.content_hash", description=__doc__
    )
    parser.add_argument("directory", type=Path, nargs="*")
    parser.add_argument("--presets", default="", help="simulate these, such as reference,small")
    parser.add_argument("--seeds", default="1", help="with these seeds, such as 1,2,3")
    options = parser.parse_args(arguments)
    for directory in options.directory:
        sys.stdout.write(f"{content_hash(directory)}  {directory.name}\n")
    for preset in filter(None, options.presets.split(",")):
        for seed in options.seeds.split(","):
            with tempfile.TemporaryDirectory() as parent:
                simulate_market(Path(parent) / "market", preset=preset, seed=int(seed))
                sys.stdout.write(f"| {preset} seed {seed} | `{content_hash(Path(parent) / 'market')}` |\n")


if __name__ == "__main__":
    main()
