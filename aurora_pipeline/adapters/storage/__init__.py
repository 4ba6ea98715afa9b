"""Where tables and records lie: files of a disk or objects of a store, the lake on top of them, PostgreSQL."""
