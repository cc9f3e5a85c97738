"""What `make demo` consists of: ordinary programs, a server that kills tokens, and somebody who counts."""
