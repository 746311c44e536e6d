"""Who may come in: hosts, origins, login, limits."""
