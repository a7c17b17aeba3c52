"""Adversarial attacks: every one takes a `Target`, images and a `Goal`, and returns an `AttackResult`."""
