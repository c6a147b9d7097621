"""What is wrong with the project, told by `manage.py check`: the setting by name, and its fix."""
