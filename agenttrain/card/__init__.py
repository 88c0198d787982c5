"""Reward functions that a model wrote, checked and judged before any of them trains (CARD, arXiv 2410.14660).

source      text -> what is wrong with it, by its syntax tree
function    text, trajectory -> one score per turn, in the sandbox
preference  scores of successes and of failures -> share that is judged right
judge       sources, stored trajectories -> a verdict on each
coder       trajectories, verdicts -> what a model is asked; its reply -> a source
course      a run of rl by such a function -> how that went, in words
lineage     a coder, a judge -> version after version, each kept with what it was written for
"""
