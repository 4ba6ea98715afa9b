"""Dagster only: assets, partitions, checks, jobs and schedules, one file per stage.

An asset body reads from the lake, calls one domain function, writes, and returns metadata and check results.
"""
