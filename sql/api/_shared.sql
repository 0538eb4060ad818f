-- The schema that the gateway exposes. A migration drops and recreates it when one of its files
-- changes, so nothing else belongs in it.

comment on schema api is
$$Alfa Beauty Digital Hub
Prices, orders, invoices and points of partners.
Sign in with rpc/login; every list can be filtered, ordered, paged and embedded.
Errors are JSON with a stable code: see docs/reference/error-codes.md.
Money is IDR, times carry their time zone, ids are UUIDs.$$;
