"""Moving a surface to a pin: which concrete model, what that does to mix and cost, and the change of the policy."""
