"""Pure machines: an event, the time and a generator of chance in, effects out; no clock, no I/O."""
