"""Pure rules: no I/O, no clock, no randomness. `now` is always an argument."""
