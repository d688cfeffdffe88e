"""What may be kept of a text: the rules, the known patterns, and the policy that applies them."""
