"""The documentation site: pages of docs/, the API from the protos, and the files that the pages link."""
