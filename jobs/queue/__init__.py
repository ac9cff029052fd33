"""Who runs what: study, slots, claims and leases in the database, and what it tells of a sweep."""
