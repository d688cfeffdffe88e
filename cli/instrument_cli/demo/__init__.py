"""A small telecom system at work, so that there is something to measure: `metrics demo`."""
