-- The front door. This schema is dropped and made anew whenever one of its files changes: nothing else lives here.

comment on schema api is $$Alfa Beauty Digital Hub
Prices, orders, invoices and points of partners. Sign in with rpc/login; every list can be filtered, ordered, paged and embedded.
Errors are JSON with a stable code: see docs/error-codes.md. Money is IDR, times are with time zone, ids are UUIDs.$$;
