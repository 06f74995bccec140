"""Generates the Grafana dashboards.

``python -m grafana`` writes ``grafana/dashboards/*.json``, which Grafana loads as they are. One page is one
file in ``grafana/pages``; the parts that pages share lie beside this file.
"""

import warnings

# The classic dashboard is on purpose: file provisioning refuses the new schema in many versions of Grafana.
warnings.filterwarnings("ignore", "Prefer using dashboardv2", DeprecationWarning)
