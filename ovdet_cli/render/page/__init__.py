"""What was found, as one HTML page that needs no network: a payload of plain values in, a file out."""
