"""Design-space exploration: spaces, searches, studies, Pareto fronts, plots and reports."""
