"""What a person sets going through the graph: the main job, a backfill, the proofs, the ablation."""
