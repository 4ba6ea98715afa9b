"""From calibrated expected returns to target weights: costs, risk, sizing, turnover and risk budgets."""
