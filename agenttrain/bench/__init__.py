"""Strategies of credit, decision processes -> how far, and how noisily, each gradient misses the exact one."""
