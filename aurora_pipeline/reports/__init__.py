"""Write-ups of what a home has stored, for the assets and the command line alike: pages, plots, report tables."""
