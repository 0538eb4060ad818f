-- The schema that the gateway exposes. A migration drops and recreates it when one of its files
-- changes, so nothing else belongs in it.

comment on schema api is
$$Alfa Beauty Digital Hub
Prices, orders, invoices and points of partners.
Sign in with rpc/login; every list can be filtered, ordered, paged and embedded.
Errors are JSON with a stable code: see docs/reference/error-codes.md.
Money is IDR, times carry their time zone, ids are UUIDs.$$;

-- Named after the media types that it answers: PostgREST sends the bytes that a function with this
-- result returns as they are, and nothing for null. A function states its Content-Type itself.
create domain api."*/*" as bytea;
comment on domain api."*/*" is 'A document that the gateway sends as it is';
