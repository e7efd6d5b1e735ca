"""The three roles, each on its own as in Kubernetes: what they need, what they answer, and how they end."""
