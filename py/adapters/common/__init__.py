"""Code that all adapters share."""
