"""The pages on one origin: the shop at /, the console at /console/, and the gateway at /api/.

It serves a machine's own stack on loopback. Where others reach the pages, nginx does this (docker/web).
"""
