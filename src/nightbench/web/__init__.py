"""Our web servers' doorkeeper: who is answered at all, and who has to say a password."""
