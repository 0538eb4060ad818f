"""The running stack: PostgreSQL by pg_ctl, everything else under supervisord."""
