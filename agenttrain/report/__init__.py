"""A run's folder -> what a person looks at: one HTML file, the same served while the run goes on, and a terminal."""
