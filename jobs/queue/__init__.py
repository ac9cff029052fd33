"""Who runs which trial: study, slots, claims and leases in the database, and the status read from them."""
