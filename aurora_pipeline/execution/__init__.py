"""From target weights to orders, fills, positions and NAV: planning, gate, simulated broker, ledger, trade book."""
