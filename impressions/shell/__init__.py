"""What every process shares around the core, and may do I/O with.

    settings   one model of every setting; flags > environment > impressions.toml
    layers     where settings are written, and how a complaint about one names its place
    catalog    the settings of the Iceberg catalog, as Spark and as pyiceberg spell them
    command    verbs: settings in, errors out as text or JSON with an exit code
    console    messages and progress on stderr, data on stdout
    extras     optional packages: late import, or the line that installs them

The core never imports this package; batch, bulkload, serving and cli do.
"""
