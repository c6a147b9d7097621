"""What is Django's own: table, hooks, admin, checks, commands and signals. The shared suite is in tests/http."""
