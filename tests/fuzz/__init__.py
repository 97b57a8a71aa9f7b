"""Fuzzing of whatever reads bytes from outside: `make fuzz [SECONDS=60]`.

    targets     one `Target` per decoder: seeds, what is done with an input, how to seal it again
    __main__    runs each under atheris (libFuzzer), coverage-guided

The same targets run under Hypothesis among the tests (tests/faults/test_decoders.py), which also
keeps every input that was ever found.
"""
