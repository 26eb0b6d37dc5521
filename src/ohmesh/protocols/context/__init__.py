"""Contexts of agents: their history, merging them, and holding them for many agents at the cost of one."""
