"""Where problems come from: each option is an iterable of `Task`."""
