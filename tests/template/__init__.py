"""What the template makes."""
