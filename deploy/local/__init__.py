"""One machine: the embedded PostgreSQL and Kafka, the token issuer, and the `onefriend` command line."""
