"""History from files into raw: the import behind `impressions land --from-files`.

flags          the options of the verb
run            all of an import, in order
outcome        what an import did, for the report
job            what an import was asked for
choosing       which files are read: those that raw does not hold already
expected       how many rows a file brought; which files have lost some
imported       how many rows of a file raw or rejected hold
staging        files judged; valid rows kept in runs that are sorted by place
run_directory  where runs are kept
raw_rows       judged rows as columns of raw
rejected_rows  rows that do not count, into the table of rejected rows
survey         what files hold, counted while they are judged
copies         which rows of a file are the same device flush stored twice
merging        new rows and those that stand there, place by place, in closed form
valid_through  how far raw is complete after an import
forget         an import undone
"""
