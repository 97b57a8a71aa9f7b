"""The closed form of a slot: sorted, duplicates decided, row-level deletes applied.

slots        which slots need it
duplicates   which rows belong to a log that was sent before
sorting      the order of rows in a file
place        one (slot, shard): its rows read, decided, sorted, written
rewrite      the places of some slots brought into closed form, in one commit
"""
