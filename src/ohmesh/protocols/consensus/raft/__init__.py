"""Raft: one leader per term, one log, and a majority that keeps it.

member          the machine: events in, Ready out       rules        what the paper demands, one method a sentence
election        pre-vote, votes, terms                  replication  appends, acks, commit
change          members come and go (joint consensus)   reading      linearizable reads without a log entry
log             entries behind a snapshot               configuration   who counts, joint quorums
progress        what the leader knows of a follower     messages     what travels, what is stored
"""
