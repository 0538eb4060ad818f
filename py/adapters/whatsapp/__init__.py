"""The WhatsApp adapter: takes messages from the outbox, delivers them, says what became of them."""
