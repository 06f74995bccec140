"""What people look at: the Python that writes the Grafana dashboards.

``python -m grafana`` writes ``grafana/dashboards/*.json``, which Grafana loads as they are. One page is one
file in ``grafana/pages``; what the pages are made of lies beside this file, from the words down to the SDK.
"""

import warnings

# The classic dashboard is on purpose: file provisioning refuses the new schema in many versions of Grafana.
warnings.filterwarnings("ignore", "Prefer using dashboardv2", DeprecationWarning)
