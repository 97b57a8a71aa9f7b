"""The seam, checked on a host: two generations with their deltas must answer alike.

For any query time after the later cutover, the generation that answers plus its deltas and the one
that is to answer plus its deltas hold the same events. The days between the cutovers came from raw
in one of them and through the stream in the other, so comparing them compares batch,
stream and what is served.

    difference          what differs between two answers of one profile, and the tolerance
    comparable          whether two generations can be compared, and at which query time
    sample              which profiles: random ones, and those with the most rows
    sides               the two generations and the copy of the deltas, open for reading
    findings            what a comparison found: what is compared, what differs, what was left out
    comparison          the comparison itself

Nothing here decides what a difference means: bulkload/seam_gate.py does.
"""
