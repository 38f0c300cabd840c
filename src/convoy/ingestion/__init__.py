"""From what came in to what training reads: checked, split, packed."""
