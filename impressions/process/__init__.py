"""What every process shares: how it starts, is configured, is watched and ends.

command           a verb: settings in, errors out as text or JSON with an exit code
recording         every run of a job leaves a record in the history, however it ends
passes            which passes of a job that repeats are recorded
lifetime          the first and the last step of every process
stop_signal       SIGTERM and SIGINT as an event to wait for
child             a parent that keeps child processes running
registry          which processes run on this machine
metrics           metrics over HTTP, as Prometheus reads them
asked_server      the server that a command asks, with the token and the CA that it shows
extras            optional packages: imported late, or the line that installs them
descriptors       file descriptors: the limit, a reserve, the error without any
catalog_errors    what the catalog's libraries raise, as errors with a hint
failpoint         places where a test makes a process fail
"""
