"""Linear functions of a whole layer, and their way back to the image."""
