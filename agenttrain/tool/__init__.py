"""A call that stands in plain text -> its result as text: the tools of Toolformer (arXiv 2302.04761)."""
