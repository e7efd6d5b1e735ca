"""The command line: results go to stdout, everything else to stderr, and no traceback is shown unless asked for."""
