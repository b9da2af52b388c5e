"""Several processes, many clients, random faults; an external ledger says in the end whether promises were kept.

python -m tests.chaos --runs 10000 --minutes 10 --seed 1 --faults kill,stop,cut
"""
