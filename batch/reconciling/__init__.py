"""Raw and topic against what a server answers, profile by profile, and the events behind each
difference: docs/decisions/0034-reconciliation.md.

What is compared, without I/O:

    events       events as columns; rows of raw and records of the topic as one list
    ownership    which must be in an answer, and which layer answers for each
    judging      what the events of a profile make, against an answer about it
    explaining   the fewest events behind a difference
    findings     differences and events as people and programs read them

Where it comes from:

    landed       raw at one snapshot: the events of some profiles, and the next profiles
    live_topic   the topic from an offset on
    served       the answers of a server

One round, and many:

    choosing     which profiles: named, sampled, or the next in turn
    looking      profiles of one shard, read in the right order, twice where they differ
    round        one round
    outcome      its report
    rotation     how far the rotation through all profiles has come
    metrics      of the service
    service      rounds without end
    verb         `impressions reconcile`
"""
