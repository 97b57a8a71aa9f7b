"""What a person or a log collector sees of a process.

console        messages and progress on stderr, data on stdout
stage_lines    progress where stderr is no terminal: a line for each stage
report         what a run reports at its end: text, or one line of JSON
listening      whoever keeps what runs say is told, for a block
log            one line per event on stderr: time, level, event, key=value
units          sizes, durations and times as a person reads them
"""
