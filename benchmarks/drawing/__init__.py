"""What drawing a frame costs."""
