"""Monitoring: information coefficient, calibration quality, performance, and the scorecard that collects them."""
