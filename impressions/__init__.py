"""Impressions: how often each profile saw each title over a year, recent views weighing more.

The core, in the order in which a reader needs it (stdlib and numpy only, no I/O):

    spec            what is measured, with which half-lives, over which window: declared once
    clock           the one place that reads time
    window, slot    UTC days, the tail, the horizon; pieces of ingest time and the cutover
    decay           the formula
    event           the rule of validity
    shard, item     where a profile lives; how (title, location) becomes one sortable integer
    ids             string ids to integers
    columns         the columnar table that all blocks are made of, and its bytes
    profile_block   what a generation stores for one profile
    delta_block     what the stream stores for one profile and ingest slot
    merge, answer   both together at a query time; the projection a caller asked for
    generation      names of generations, refs, files and directories
    manifest        what a generation directory says about itself
    pointer         which generation a host serves, and what a load brought
    sealed          JSON files that refuse to be read after a byte changed
    completeness    why an answer is not everything it says
    errors          everything that can be refused, with a hint

`impressions.shell` holds what every process shares around this core (settings, console, store
options); `impressions.v1` holds the generated wire types. Neither is imported by the core.
"""
