"""Text the generator wraps around a core, as Jinja2 templates (package data)."""
