"""The closed form of a slot: sorted, duplicates decided, row-level deletes applied.

request     which slots a close was asked for, and which it rewrites now
slots       which slots need it. Pure
duplicates  which rows belong to a device flush that was sent before
tasks       a slot dealt out: the places it is written in, each a task
place       a slot, or some shards of a large one: its rows read, decided, sorted, written
ranges      what is too large for memory, in ranges of profiles
rewrite     the places of some slots brought into closed form, in one commit
counting    counts of a place, for the quality of its day
recording   days that lack their rows of impressions.quality get them
reviewing   days judged after a close, and what is said of them
"""
