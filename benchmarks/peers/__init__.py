"""What a user would do instead, written fairly: each with the advantages it has in real life.

plain_merge      the merge as a few lines of numpy over ready float64 arrays
echo             a grpcio server that returns constant bytes: the most a Python server can do
rows_in_files    the same rows as protobuf messages and as Parquet
"""
