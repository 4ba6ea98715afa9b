"""Panels of the dashboard, one file per group: frames in, blocks of numbers, tables and charts out."""
