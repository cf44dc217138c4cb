"""LEG and LEG-TV: from a sample or its moments to results."""
