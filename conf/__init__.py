"""The configuration groups, one YAML file per option; installed as `agenttrain.conf`."""
