"""What a user can cause and mend: one exception, which the command line prints without a traceback."""


class UserError(Exception):
    """One or two lines that say what is wrong and what to do; the process exits with 2."""
