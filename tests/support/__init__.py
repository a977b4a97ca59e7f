"""What tests share: real servers, builders, witnesses."""
