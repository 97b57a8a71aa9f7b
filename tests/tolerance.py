"""The two tolerances of the project, named once. Integers and times are compared exactly."""

FLOAT64 = 1e-9
"""Relative; where every step is float64."""

FLOAT32_STORED = 1e-6
"""Relative; where sums passed through a profile block, which stores float32."""
