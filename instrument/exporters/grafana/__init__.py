"""Dashboards and provisioning files for Grafana, over the metrics that Prometheus scrapes.

promql        what a panel asks for, over the table of names
panels        one panel: what it asks, its unit, and how it is drawn
dashboards    the five dashboards, as lists of panels
building      panels and dashboards as Grafana's own JSON
alerts        alert rules as Grafana manages them
files         all files by their paths, ready to mount
"""
