"""Records of runs, and what is known of their posts, in; numbers out."""
