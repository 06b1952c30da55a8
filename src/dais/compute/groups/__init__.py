"""Resource groups: named pools of nodes, each with its engine."""
