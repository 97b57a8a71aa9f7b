"""Whether a day of events is like the days before, by segment: counted, kept, judged.

Everything but the last group is pure: functions of counts, numpy and no I/O.

segments       parts of a day: location, device type, app version
counts         rows of raw become counts per segment, which add
dwell_bins     dwell as counts per bin
title_sample   a sample of the titles of a day, always the same ones
day_rows       counts become the rows of a day, small segments pooled
series         the rows of all days side by side
measures       what is judged, how it is compared, from which change on
expected       what a value should be, from the weeks before
compared       days of one measure against the weeks before them
judge          all measures of all days: findings
hours          the profile of hours of a day
absolute       what is wrong without any week to compare with
drift          a slow change over many weeks
attribution    the findings of a day, narrowed to where its fault lies
since          the hours of its day in which a fault is
findings       a finding: day, segment, measure, found, expected, and where to look
acceptance     somebody says that a finding is well

raw_rows       rows of raw, as the columns that are counted
rejected_rows  rejected rows of days, by device and reason
days           which days of raw are over, and which files they consist of
table          `impressions.quality`: rows and acceptances, read and replaced
review         what the table says now, for reports and people
"""
