"""What the jobs of land, close, import and forget have in common.

context        what every step of a job works with
own_directory  a directory of this host that is a job's own while it lives
same_spec      the spec, as driver and executors both know it
occurrences    which occurrence of its group each row is
tasks          the same function over many tasks: threads of this process, or tasks of Spark
"""
