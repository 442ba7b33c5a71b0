"""The program of `gresque demo`: the three promises, on real work that waits."""
