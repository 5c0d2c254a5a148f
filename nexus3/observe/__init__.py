"""What is told to operators: the catalogue of log events, and the one place that hands them to a logger."""
