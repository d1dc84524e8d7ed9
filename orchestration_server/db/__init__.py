"""The only user of the Postgres driver: connections, pool, parameters, cancellation, errors."""
