"""agenttrain trains language models to act: one flow from tasks to evaluation, every step of it a folder."""
