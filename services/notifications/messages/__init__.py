"""Messages to people: letters, texts and e-mails, each against a permit that is redeemed for its holder."""
