"""The sections of the settings: one frozen model for each part, with default, unit and meaning.

batch      catalog, spark, land, close, quality, compact, audits, week, housekeeping
live       kafka, stream, speed, host, serving
watching   history, alerts, exporter, console, reconcile
section    what every section is

`Settings` (impressions/settings/model.py) puts them together and reads them; here is only what may
stand in `[catalog]`, `[kafka]`, `[serving]` and so on, and what makes a section whole.
"""
