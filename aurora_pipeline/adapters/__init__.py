"""Everything with a side effect.

A home and what it keeps (`home`, `storage`, `models`, `book`), what stages read of it (`stage_inputs`), what comes in (`inbox`,
`live_market`, `feeds`, `vendors`), and the machine (`instance`, `worker_processes`, `compiled_kernels`, `clock`, `progress`).
"""
