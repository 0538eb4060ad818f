"""The command line of the Digital Hub."""

__version__ = "0.1.0"
