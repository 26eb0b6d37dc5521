"""Who is there and who does what: leases of processes and the record of their roles."""
