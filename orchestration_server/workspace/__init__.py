"""The files of sprints, tasks and documents below one root: safe paths, rendering, reading and writing."""
