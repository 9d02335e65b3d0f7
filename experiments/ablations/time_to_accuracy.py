"""Time and energy to accuracy, the plot that the paper lacks: accuracy by virtual seconds and joules.

    python launch.py --config=experiments/ablations/time_to_accuracy.py

8-8-8, HaLo-FL, 2-4-4, and 8-4-8, which is as fast as 2-4-4. Links of 1 Mbit/s up and 10 Mbit/s down, whose rates vary
by 20 % from round to round. `comparison.csv` has seconds and joules to 70 %, and `figures/accuracy_by_time.png` and
`accuracy_by_energy_used.png` show the way there.

The latency of the paper's Table II is per SAMPLE: 0.87 s at 8-8-8. A client that trains on 200 images therefore
computes for 174 s: a round takes minutes, beside which the 0.8 s in which the 8-bit model of this width is sent is
little. At 8-6-8 it computes for 131 s, at 8-4-8 and 2-4-4 for 87 s; weights and errors hardly count. As a round waits
for its slowest client, HaLo-FL, of whose clients only some want low latency, is as slow as 8-8-8.

`:deadline` ends a round after 150 s. With activations of 8 bits nobody is in time, so that 8-8-8 learns nothing;
HaLo-FL lowers activations for its 7 clients that want low latency, which alone take part from round 8 on; at 2-4-4
everyone is in time.
`:battery` gives each client 4 J, of which a round takes 0.25 J at 8-8-8 and 0.06 J at 2-4-4: at 8-8-8 everyone stops
after 15 of 20 rounds, of HaLo-FL's clients those that want a small area after 16, and nobody else.
"""

from experiments.ablations.small import small

VARIANTS = ("", "deadline", "battery")


def get_config(variant: str = ""):
    """The experiment; `deadline` drops who is late, `battery` who has nothing left."""
    if variant not in VARIANTS:
        raise ValueError(f"variant {variant!r} of time_to_accuracy; known: {', '.join(VARIANTS[1:])}")
    config = small("time_to_accuracy" + (f"_{variant}" if variant else ""))
    config.arms = ("8-8-8", "halo_ps", "8-4-8", "2-4-4")
    config.evaluation.target_percent = 70.0
    config.clock.up_mbps, config.clock.down_mbps, config.clock.jitter = (1.0,), (10.0,), 0.2
    if variant == "deadline":
        config.clock.deadline_s = 150.0
    if variant == "battery":
        config.clock.battery_joule = (4.0,)
    return config
