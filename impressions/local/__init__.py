"""The broker and the whole system on one machine, without Docker.

broker           Apache Kafka as a process: start, stop, find
kafka_config     its configuration
ports            ports of 127.0.0.1 that stay the same from start to start
pid_file         which process runs: a lock that the process itself holds
detached         a process that belongs to no terminal: start, find, stop
settings_file    settings as a file, for processes that are started here
dev              the whole system: up, down
"""
