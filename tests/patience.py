"""How long a test waits for what must come true, whatever else the machine does.

A deadline is there so that a test ends at all. It asserts no speed: a test of speed measures, and
has the mark `alone`. Two lanes on a slow machine of two cores need several times as long as one
lane on a quiet one, so every deadline of a wait is given for a quiet machine, times `FACTOR`.
"""

FACTOR = 4
