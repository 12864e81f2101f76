//! A real server on a port of the system's choice.
