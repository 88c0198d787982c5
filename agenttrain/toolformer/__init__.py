"""Text -> the same text with tool calls that help to predict it; text that is written with calls (arXiv 2302.04761)."""
