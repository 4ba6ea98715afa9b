"""What a stage reads from the lake before it computes; one module a stage."""
