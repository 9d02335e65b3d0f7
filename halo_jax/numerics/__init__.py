"""Numbers of a few bits: quantisers, exact contractions and sums, quantised layers, noise, dead layers."""
