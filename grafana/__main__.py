"""``python -m grafana`` writes the dashboards anew."""

from grafana.generate import write

write()
