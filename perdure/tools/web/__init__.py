"""Tools that read the web and documents: guarded, bounded, and in a process of its own."""
