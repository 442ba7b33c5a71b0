"""What `gresque demo` runs: real files, over real HTTP, through real workers."""
