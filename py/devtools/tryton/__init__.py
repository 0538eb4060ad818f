"""Tryton, a real ERP, beside the hub: for the tests and `hub demo --with-erp`. No place for real books."""
