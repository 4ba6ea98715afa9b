"""How many sessions back stages look: what a stage is given and what its computation takes are the same number.

Were less read than is looked at, the numbers would be those of a shorter window, and nothing would say so.
"""

BAR_LOOKBACK = 6
"""Sessions of bars and residual returns the intraday features look back over."""
SESSION_LOOKBACK = 760
"""Sessions of session bars the daily features and betas look back over. The longest chain is a 252-session window of residuals,
each with a sector beta over 252 sessions of returns orthogonalised with a market beta over 252 sessions before them."""
RISK_LOOKBACK = 60
"""Sessions of residual returns the risk model looks back over."""
VALUE_LOOKBACK = 20
"""Sessions of session bars the book's average traded value looks back over."""
