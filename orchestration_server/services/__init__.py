"""One servicer a file: proto in, proto out."""
