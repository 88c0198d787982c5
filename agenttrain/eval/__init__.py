"""Trajectories -> figures with intervals, and a report."""
