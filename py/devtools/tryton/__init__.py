"""A sandbox of Tryton, a real ERP, for the tests and `hub dev demo-erp`. Not for real accounting."""
