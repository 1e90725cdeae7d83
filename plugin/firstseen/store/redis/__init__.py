"""The state of a fleet: one that several agents share, in Redis or Valkey."""
