"""One federated round, from broadcast to aggregate, written for one client and lifted over all."""
