"""Say what pydantic found wrong in our own words."""
