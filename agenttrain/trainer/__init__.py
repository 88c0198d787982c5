"""Advantages and labels -> a checkpoint, on TRL."""
