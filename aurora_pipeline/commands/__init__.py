"""The `aurora` command's groups, one file each; :mod:`aurora_pipeline.cli` puts them together."""
