"""What would make a training job hang, run out of memory or fail after the fact, refused before it starts.

`submission.run` measures and checks before a job is submitted, `node.on_node` checks again where a rank runs. A check
is a pure function over `context.PreflightContext`; `checks.CHECKS` lists them.
"""
