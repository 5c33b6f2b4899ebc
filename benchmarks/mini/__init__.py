"""The miniature benchmark: what image labels teach a detector about classes that have no boxes. See README.md."""
