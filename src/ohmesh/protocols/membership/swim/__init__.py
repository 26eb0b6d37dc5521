"""SWIM: who is here, known to all, though nobody asks everybody.

swim           the machine: events in, packets and news out     members   what is known, and which word prevails
probing        one member asked each period, through others too   suspicion  how long a silent one may speak up
dissemination  what is told along, and how often                  awareness  how far we trust our own ears
settings       profiles and what they cost                        messages   what travels

Sources: Das, Gupta, Motivala, SWIM, 2002; Dadgar, Phillips, Currey, Lifeguard, arXiv 1707.00788.
"""
