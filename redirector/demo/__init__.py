"""The whole way on a real newsletter, with a crowd of readers and robots made for it."""
