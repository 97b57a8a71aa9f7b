"""`python -m speed`: the same as `impressions speed`."""

from impressions.shell.command import run
from speed.main import command

run(command, service=True)
