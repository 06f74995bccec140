"""Who may scrape: TLS, client certificates, passwords, tokens, by the exporter-toolkit's web-config.yml."""
