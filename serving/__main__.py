"""`python -m serving`: the same as `impressions serve`."""

from impressions.process.command import run
from serving.main import command

run(command, service=True)
