"""Jobs, tables, topic, disks and this host's generations as metrics: `impressions exporter`.

families    what was found, as families of metrics: names of docs/monitoring.md
events      what the system healed by itself, counted from the history
service     a look every minute, served at /metrics
"""
