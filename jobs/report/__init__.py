"""What a person reads of a result: the report of a study, the comparison of several, the model card."""
