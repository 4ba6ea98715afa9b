"""A home served by real processes: code server, daemon and webserver, watched, measured, photographed and killed on purpose.

1. :mod:`.service` runs the processes of one home and starts again what dies; :mod:`.preloaded` is what runs are forked from.
2. :mod:`.bench` measures from a bar in the inbox to durable targets, :mod:`.screenshots` shows what a person sees.
3. :mod:`.soak` runs whole sessions with armed runs (:mod:`.armed_replay`), undisturbed and with :mod:`.faults`.

The loop itself is :mod:`aurora_pipeline.live`, its job and schedule are in :mod:`aurora_pipeline.defs`; neither knows of this.
"""
