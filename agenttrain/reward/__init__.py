"""Trajectory -> one score per turn."""
