"""Training in torch: the loop, what adversarial training puts into it, and layers that train as integers."""
