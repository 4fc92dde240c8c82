"""Accuracy, adversarial frequency, ranks and statistics."""
