//! Connections and what happens to every call on them, whatever service it is for.
