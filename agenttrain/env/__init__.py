"""Where actions have effects: each option gives single-use episodes."""
