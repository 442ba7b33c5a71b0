"""gresque beside other libraries. Nothing here is loaded unless a program imports it."""
