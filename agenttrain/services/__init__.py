"""Small invented services with a state, described by OpenAPI: env/api calls them, task/api asks for what they do."""
