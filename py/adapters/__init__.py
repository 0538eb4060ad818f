"""Adapters connect the hub to external services; none of them holds a business rule."""
