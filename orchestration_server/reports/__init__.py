"""Pure functions: status reports, documents of decisions and bugs, fingerprints of bugs."""
