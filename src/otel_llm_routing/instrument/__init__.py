"""What runs in the user's application."""
