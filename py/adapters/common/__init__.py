"""What all adapters share: settings, gateway client, supervision, health, logs, metrics, application."""
