"""Templates: a name -> the sentence that is embedded."""


def fill_prompt(template: str, name: str) -> str:
    """The sentence for a name: `{}` in the template is replaced by it."""
    if "{}" not in template:
        raise ValueError(f"the template {template!r} has no {{}} for the name")
    return template.replace("{}", name)
