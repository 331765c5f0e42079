"""Load: workloads, arrivals, the wire, and the metrics of docs/metrics.md.

`levels` plans, `workloads` reads prompts, `measure` drives one level in child processes and hands
back rows. Nothing is imported here: the generator's child must start in a tenth of a second.
"""
