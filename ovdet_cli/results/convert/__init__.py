"""Records to the formats of other tools, and back where those hold enough."""
