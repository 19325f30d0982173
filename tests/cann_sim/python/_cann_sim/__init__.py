"""A strict simulator of the CANN tools: what they share.

Comments name the evidence of each rule: [D] vendor documentation, [S] public source, [O] observed logs,
[I] inferred. What real software does silently (or by corrupting memory) is a :class:`ContractViolation` here.
"""
