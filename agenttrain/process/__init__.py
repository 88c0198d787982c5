"""Small decision processes with a known policy gradient: what `credit-check` measures strategies of credit on."""
