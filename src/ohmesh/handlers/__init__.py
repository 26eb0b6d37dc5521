"""What an agent does: `@agent` on a typed function, finding such functions by name, and the kinds that are built in.

Loaded in runner processes only, by an import path; the rest of the house knows handlers through ports.handler.
"""
