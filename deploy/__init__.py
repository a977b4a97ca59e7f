"""How Onefriend runs somewhere: on one machine (`deploy.local`), in containers, on Kubernetes."""
