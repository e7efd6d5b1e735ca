"""The only code that knows Redis: what is kept there, under which keys, and by which scripts it changes."""
