"""Who acts: each option serves many conversations at once."""
