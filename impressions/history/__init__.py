"""What every job did, kept beyond it: one file per run, the last 400 of each job.

run_record     RunRecord: one run, as JSON; HistoryEvent: what it healed
run_history    RunHistory(uri): append, runs, last_success
durations      how long a job usually takes, from its last successes

Reading, for any program (`settings.history_uri` is `history.uri`, by default <home>/history):

    history = RunHistory(settings.history_uri)
    history.runs("land", newest=20)      # newest first; without a job: of all jobs
    history.last_success("compact")      # RunRecord or None
    history.damaged                      # files that were skipped

Writing is done where a verb is run (impressions/process/recording.py), never by a job itself. A job
says what it healed by `recording.event(HEALED, "short import completed", detail)`.
"""
