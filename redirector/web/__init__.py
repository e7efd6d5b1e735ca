"""The doors that speak HTTP: what the internet sees, and what tooling and monitoring see."""
