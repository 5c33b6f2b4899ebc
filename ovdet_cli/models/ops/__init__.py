"""What belongs to no single part of a detector."""
