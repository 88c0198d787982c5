"""The pipeline in words: one short function per subcommand."""
