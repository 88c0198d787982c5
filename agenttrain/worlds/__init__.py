"""Small invented worlds, plain Python: what a task asks about, an environment serves and a scripted expert knows.

Those rooms are siblings that do not know each other; each imports the world that it needs from here.
"""
