"""What can be said about the error of an estimate: theory and intervals. Sees estimates and covariances only."""
