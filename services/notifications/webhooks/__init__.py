"""Webhooks: each subscription reads its agency's feed and tells an endpoint of it, case by case in order."""
