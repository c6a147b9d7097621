"""The app of a Django shop."""
