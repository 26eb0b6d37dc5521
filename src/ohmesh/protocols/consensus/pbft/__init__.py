"""PBFT: a committee of 4 to 16 that agrees although up to a third of it lies.

replica       the machine: signed messages in, Ready out; views       ordering  requests within one view, checkpoints
proofs        what a certificate has to hold to be believed           slot      one sequence number in one view
messages      what travels, and what is signed of it                  settings  sizes, watermarks, patience

Source: Castro and Liskov, Practical Byzantine fault tolerance, OSDI 1999; numbers of sections are of that paper.
"""
