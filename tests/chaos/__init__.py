"""One seeded loop over the whole running system: break something, wait, compare every answer.

make chaos SEED=1 ROUNDS=200      or: python -m tests.chaos --help

__main__    flags, the table          loop        what a round is
system      what runs, and how it is started again
service     one process, killed and paused by its own pid
driver      a process that runs batch verbs
clocks      a clock that can be stepped, of one process
faults_*    what can be broken, each a function of the system
judge       the oracle: what is lost, counted twice, wrong
watcher     reads all the time, also while things are broken; judged afterwards
"""
