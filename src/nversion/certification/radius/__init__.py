"""From a relaxation to a radius: what it proves, and the search for the best one."""
