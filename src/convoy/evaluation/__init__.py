"""What a trained network is worth, and how sure we are."""
