"""Everything HTTP: the application, its connections, who may use it, and AIDE's two endpoints."""
