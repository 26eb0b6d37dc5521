"""Clocks of a fleet: mesh time over a link, and hybrid stamps that put causes before effects."""
