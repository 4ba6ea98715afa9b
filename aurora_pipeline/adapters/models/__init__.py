"""Where models lie and which of them serve: files, registry, states, champions, challengers, settings they were trained with."""
