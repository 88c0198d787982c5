"""Overrides -> a composed, checked configuration -> typed objects. Knows Hydra, and nothing of the other rooms."""
