"""What roles ask of the world below them, as Protocols of a few methods; each module holds one."""
