"""The version of gresque."""

__version__ = "0.1.0"
