"""The tests: `unit` mirrors src, `contract` holds every engine to its port, `simulation` runs roles under seeds,
`integration` starts real servers and processes, `architecture` keeps the house in shape."""
