"""Agreement among few: how a handful of processes decide together what no one of them may decide alone.

raft      crash faults, a majority decides           raft/
pbft      liars too, up to a third of few           pbft/
gossip    averages that nobody computes alone        gossip/
"""
