"""The simulator: the roles, unchanged, in virtual time under faults that follow from a seed.

report = run(main, seed=7, options=WorldOptions(faults=...))       world.py

loop      virtual time, gates           process, world    what lives and dies in it
run       one run, cleanly ended        faults            scripts of what befalls it
clock, entropy, runner                  the ports of a simulated process (its engine is engines/memory)
machines  a world for protocols without roles         linearizability  whether a history could have been one at a time
trace     what happened, as a digest    checkers          what must never happen
"""
