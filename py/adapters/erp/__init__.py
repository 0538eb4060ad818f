"""The ERP adapter: imports products, stock and payments, exports orders. It holds no business rule."""
