"""The program of `gresque demo`: real files, over real HTTP, through real workers."""
