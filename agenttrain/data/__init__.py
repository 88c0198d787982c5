"""Files people have -> supervised examples, with an account of what was kept and why."""
