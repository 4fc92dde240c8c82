"""Tables, figures and one HTML page, from results."""
