"""The order desk: a small SQLite shop, typed look-up tools, and questions whose answers can be checked."""
