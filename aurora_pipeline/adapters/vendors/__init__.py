"""Vendors of market data and paper accounts, each spoken to in its documented form over one patient HTTP session.

:mod:`~aurora_pipeline.adapters.vendors.http` retries, paces and bounds every request; a module per vendor asks and turns answers
into frames of the market-folder contract with the moment each row was known. Keys come from the environment and go into
headers only: no address, message or log carries one.
"""
