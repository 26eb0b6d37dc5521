"""The fleet in columns: who is there, how each is, who can do what; asked and summed up without a loop over agents."""
