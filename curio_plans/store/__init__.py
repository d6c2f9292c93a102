"""Where runs are kept, read and served."""
