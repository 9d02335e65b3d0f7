"""From records to what a person reads: tables, the HTML page, comparison with the paper, progress."""
