"""Adapters do what a database cannot: speak to the world outside. None of them holds a business rule."""
