"""The five-minute loop: from a bar in the inbox to durable targets, once per bar, without Dagster.

1. :mod:`.session_opening` fixes, once per session, what its decisions rest on: look-back, weights, calibration, models, book.
2. :mod:`.session_computation` computes the session up to its newest bar with the functions of the backfill, through
   :mod:`.session_tables`.
3. :mod:`.decision_log` settles each bar once: decided or skipped, with the reason.
4. :mod:`.tick` puts them together, under one lock, and writes the lake.
5. :mod:`.parity` makes the session again from the rows known at each decision time and names what differs.

:mod:`aurora_pipeline.defs` wraps this in a job, a schedule and a sensor. Everything lies below `<home>/live`.
"""
