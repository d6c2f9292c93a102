"""Named agents. Each function takes options with defaults and returns an agent whose config tells all of them."""
