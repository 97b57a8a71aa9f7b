"""What runs the parts on one machine, without Docker. Above all layers, like the command line.

broker         Apache Kafka, one node: start, stop, is it there
kafka_config   that broker's properties and log settings, as text
pid_file       which process runs, for as long as it runs: a lock the process itself holds
detached       a process that belongs to no terminal: start, find again, stop
settings_file  settings as a file, for the processes that are started here
dev            the whole system: up, down
status         both paths end to end: asked (status_*, asking), judged (stage, stages*)
"""
