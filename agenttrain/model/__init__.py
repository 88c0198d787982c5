"""What to load or build: tiny or pretrained, full weights or LoRA, and its chat in tokens."""
