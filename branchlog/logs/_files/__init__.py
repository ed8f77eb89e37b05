"""What a log in files is made of; ``branchlog.logs.files`` is the log."""
