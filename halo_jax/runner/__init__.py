"""From a config to a trained run: look up its entries, build its parts, compile its rounds, train its arms."""
