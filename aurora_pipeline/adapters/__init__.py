"""Everything with a side effect: lake, home, book store, model registry, Dagster instance, progress."""
