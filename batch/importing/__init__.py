"""History from files into raw: the import behind `impressions land --from-files`.

run        all of it, in order
job        what an import was asked for
staging    files judged; valid rows kept in runs that are sorted by place
events     judged rows as columns of raw
rejects    rows that do not count, into the table of rejected rows
copies     which rows of a file are the same log stored again
merging    new rows and those that stand there, place by place, in closed form
claim      how far raw is complete after an import
imported   which files raw or rejected holds rows of already
overlap    history and the topic must not overlap in ingest time
forget     an import undone
"""
