"""What answers look like, said once: the renderers beside this are checked against it by their types, our OpenAPI is
made of it, and the fuzz holds answers against that.

They are plain dicts all the same: nothing is validated or copied on its way out. A key that is always there is
required, with null where there is nothing to say. What the original doesn't have stands under `assistantd`, but for the
keys that are marked as ours.
"""
