"""The program in a container and in a cluster, proved without either."""
