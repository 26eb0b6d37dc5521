"""What all know together though nobody counts: averages by gossip.

averaging    the machine: values that converge, and a sum that nothing that gets lost can change

Source: Jelasity, Montresor, Babaoglu, Gossip-based aggregation in large dynamic networks, 2005.
"""
