"""Frames from one process to another over a bus that may lose, repeat and reorder: at least once, heard once, in
order."""
