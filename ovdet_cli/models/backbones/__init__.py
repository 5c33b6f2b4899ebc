"""Picture -> feature maps of falling resolution."""
