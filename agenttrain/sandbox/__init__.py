"""Where code of a model runs: behind walls, in a process of its own, and never beside what it is compared with.

    Sandbox -> zygote (warm, forks) -> worker (confined: one episode's interpreter, or one run of a program)
    grader  -> worker with the program, worker with the tests; plain values between the two

`sandbox`, `process`, `interpreter`, `bubblewrap` and `grader` run in our process; the others within the walls, where
nothing else of agenttrain can be read. Linux on x86-64 or AArch64.
"""
