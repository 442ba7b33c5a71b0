"""The floors of floors.py: for each figure the least program that does the same, and the programs
that measure gresque beside it. Each is one idea, as short as it can be made."""
