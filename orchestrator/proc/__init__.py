"""The only door to other processes: started in a session of their own, watched, and swept away whole."""
