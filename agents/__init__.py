"""Where to look next: agents that decide, and what they are made of."""
