"""Where queries of an agent run: SQLite or PostgreSQL, in processes that can be killed."""
