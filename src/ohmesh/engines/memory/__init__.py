"""The memory engine: bus, log, state and blobs in one process, with the faults of real servers on demand."""
