"""Batch of trajectories -> one advantage per turn; plain Python and numpy."""
