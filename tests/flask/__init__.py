"""What is Flask's own: its commands. The shared suite, and the extension's tests, are in tests/http."""
