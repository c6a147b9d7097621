"""The migrations of the table `payments`."""
