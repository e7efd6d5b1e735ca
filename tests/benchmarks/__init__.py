"""How fast the program is, measured from outside: real processes, and the operating system's own accounting."""
