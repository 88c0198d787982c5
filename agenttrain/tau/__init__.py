"""tau-bench's two domains (arXiv 2406.12045): their tables, and what their tools do."""
