"""The commands; `hub.cli` assembles them."""
