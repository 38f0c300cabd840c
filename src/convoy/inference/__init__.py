"""What a registered model says of new images."""
