"""The task queue: a shard decides rows, a table applies them, and everything else hangs on these two."""
