"""Records to any receiver of OTLP over HTTP: traces, metrics and logs, with ids that are the same every time."""
