"""The running stack: pg_ctl starts PostgreSQL, supervisord runs everything else and restarts PostgreSQL."""
