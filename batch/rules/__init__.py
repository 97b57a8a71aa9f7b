"""The rules of the core as expressions of Spark, tested equal to them.

aggregate  rows of raw become rows of ema: window, tail, decayed sums
"""
