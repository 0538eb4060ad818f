"""The cache: the catalogue and the configuration from memory, as fresh as PostgreSQL says."""
