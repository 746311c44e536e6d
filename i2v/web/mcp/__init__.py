"""The server of the Model Context Protocol: tools for agents, over the same service as everything else."""
