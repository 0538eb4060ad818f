"""The WhatsApp adapter: delivers the outbox, reports the outcomes and receives Meta's webhooks."""
