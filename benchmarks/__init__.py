"""What Convoy costs, measured on this machine against a named peer in the same run."""
