"""The steps on a serving host: `impressions bulkload sync`, and those of a week with `--host`.

load        the newest published generation that fits this host, if it is not loaded
check       what is loaded: every byte once a day; what is rotten is loaded again
activate    the newest loaded one that is whole
gc          what is no longer needed; nothing while something is rotten
"""

from __future__ import annotations

from impressions.steps.step import Step

STEPS = (
    Step("load", "bulkload.sync:load_newest"),
    Step("check", "bulkload.sync:check_loaded"),
    Step("activate", "bulkload.sync:activate_newest"),
    Step("gc", "bulkload.sync:collect"),
)
