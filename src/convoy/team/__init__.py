"""A team's servers: who may do what, which versions fit, and where flows run.

Everything else is the same as on one machine: which servers are used is what the environment says.
"""
