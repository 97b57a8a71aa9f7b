"""Every setting of every process, and where its value comes from.

model       all settings in one frozen model; `load` reads them
sections    what may stand in [catalog], [kafka], [serving], ...: default, unit, meaning
sources     flags, environment and file; how an error names its source
secrets     which values are never printed
paths       the cache directory of this user; paths with `~`
"""
