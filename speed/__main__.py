"""`python -m speed`: the same as `impressions speed`."""

from impressions.process.command import run
from speed.main import command

run(command, service=True)
