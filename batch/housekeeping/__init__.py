"""`impressions housekeeping`: what nobody needs any more goes, by several witnesses each.

verb         the command
run          all stages in order, each with its own count and bytes
agreed       the time that several clocks agree has passed
keeping      which generations, refs and snapshots stay. Pure
retention    until when rows of raw and rejected rows are deleted. Pure
hosts        what this home's serving host points to
removed      what was removed, and why: the report
table        one table: refs and snapshots go, then files that nothing names any more
files        which files below a table nobody needs. Pure
old_rows     rows of raw and rejected beyond their time, whole files at a time
published    exported generations in `generations_uri`, and what dead exports left there
leftovers    directories of killed imports
"""
