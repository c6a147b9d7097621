"""The handlers, one module for each framework."""
