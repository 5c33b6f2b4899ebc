"""Feature pyramid -> class-agnostic proposals."""
