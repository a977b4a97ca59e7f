"""What deciding and assigning cost, and how good a solved plan is."""
