"""Pages on which an agent acts, in a real browser or in a reader of text."""
