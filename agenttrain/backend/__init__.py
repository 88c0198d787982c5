"""What stands behind the tools of `env=api`: a described service, an MCP server, tau-bench's data."""
