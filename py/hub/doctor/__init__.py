"""hub doctor: checks of machine, stack and database, each with what a fault means and what to do next."""
