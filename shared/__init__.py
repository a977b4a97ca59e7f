"""What all services share: the contracts between them and the runtime that they live in."""
