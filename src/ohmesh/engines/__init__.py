"""Adapters of the ports to real servers, and one to none at all (memory)."""
