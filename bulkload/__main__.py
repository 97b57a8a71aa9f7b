"""`python -m bulkload`: the same verbs without the `impressions` command."""

import sys

from bulkload.cli import app
from impressions.process import lifetime
from impressions.process.command import main

lifetime.begin()
lifetime.leave(main(app, sys.argv[1:], prog="bulkload"))
