"""What is asked of a design: matrix products, attention, whole models."""
