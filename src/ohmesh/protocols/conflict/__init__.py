"""Conflicts: a queue by deadline, quarantine, the ways to settle each type, and a log that shows tampering."""
