"""The command line: thin. Verbs come from operations/commands.py; those that act on this machine stand here."""
