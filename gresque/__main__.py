"""`python -m gresque` is `gresque`."""

from gresque.cli.main import main

main()
