"""Teacher labels, student and baseline."""
