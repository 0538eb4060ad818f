"""The commands, one module each; `hub.cli` assembles them."""
