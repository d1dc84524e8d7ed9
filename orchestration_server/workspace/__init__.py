"""Files below one root: safe paths, reading, writing, rendering."""
