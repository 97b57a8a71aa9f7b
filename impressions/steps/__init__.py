"""A run of several steps: declared as data, gone through in order, told in one report.

    step       what a step is, and what it says when it is done
    running    going through them: the first that fails ends the run
    report     the one report, for people and as JSON; the exit code, and what to do next
    asked      what the steps are given
    dates      the dates of weekly runs
    host       the steps on a serving host

There is no record of progress. Each step looks at what is there and does what is missing, so a run
that was killed anywhere is run again from the first step. Steps are named, not imported: they
belong to layers that must not know each other.
"""
