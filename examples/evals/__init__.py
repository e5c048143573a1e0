"""An eval that stays green while production moves to another model, and what the evals commands say of it."""
