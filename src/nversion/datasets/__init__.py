"""Images and labels: embedded digits, the MNIST family, and the user's own files."""
