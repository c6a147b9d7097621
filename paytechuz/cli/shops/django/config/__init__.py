"""The project: its settings, its URLs, and its applications for servers."""
