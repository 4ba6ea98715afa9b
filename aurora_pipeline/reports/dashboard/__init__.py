"""The dashboard of a home: reads what is stored, renders what has changed, serves it or writes it to a file."""
