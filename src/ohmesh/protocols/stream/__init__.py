"""Streamed results: the order in which a reader hears what a task yields."""
