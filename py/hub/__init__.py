"""The command line of the Digital Hub: bring up, migrate, seed, doctor, bench."""
