"""Bars and feeds to features: residual returns, five views, one panel."""
