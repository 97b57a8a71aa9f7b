"""The `impressions` command: a file for each verb, loaded when it is called.

    main                the table of verbs
    doctor              checks everything before anything starts
    checks              what doctor checks, by area
    jars                downloads and verifies the pinned jars
    config              prints the effective settings
    settings_reference  all settings as a page of Markdown, from their declaration
    kafka               the local broker: start, stop
    topics              creates or checks the topics
    rejected            shows and replays the dead letters of the stream
    get                 asks a server for one profile
    status              both paths end to end
    exporter            the same as metrics, a service
    dev                 the whole system on this machine: up, down

The verbs of batch, bulkload, speed and serving are in these packages.
"""
