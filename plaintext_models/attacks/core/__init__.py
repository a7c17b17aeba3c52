"""What all attacks share: targets, goals, balls, norms, losses, and the search that counts queries."""
