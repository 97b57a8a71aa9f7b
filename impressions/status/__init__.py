"""Both paths asked end to end, and judged: what `impressions status` shows.

report         everything asked at once, then judged
questions      questions to several parts, none of which keeps the others waiting
facts          what batch and bulkload answer: plain data
jobs           what the history of runs says of each job
headroom       how long until the topic forgets what is not landed
disks          what is free on this machine
stream         what the broker knows of the topics
serving        what the serving side of this machine holds and reports
stage          a stage of a path: state, line, hints
stages         all stages in order, and the exit code for a probe
stages_batch   the stages of the batch path, from facts
stages_live    the stages of the live path, from facts
stages_upkeep  jobs, comparisons and disks, from facts
"""
