"""Training: recipes, and one plain loop that resumes."""
