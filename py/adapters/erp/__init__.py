"""The ERP adapter: products, stock and payments come in, orders go out. It holds no business rule."""
