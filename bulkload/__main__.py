"""`python -m bulkload`: the same verbs without the `impressions` command."""

import sys

from bulkload.cli import app
from impressions.shell import program
from impressions.shell.command import main

program.begin()
program.leave(main(app, sys.argv[1:], prog="bulkload"))
