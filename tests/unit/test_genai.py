"""The words for spans of models and tools are those of the conventions."""

from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from shared.tracing import genai


def test_attributes_are_spelt_as_the_conventions_spell_them() -> None:
    ours = {value for value in vars(genai).values() if isinstance(value, str) and value.startswith("gen_ai.")}
    theirs = {value for value in vars(gen_ai_attributes).values() if isinstance(value, str)}

    assert ours
    assert ours <= theirs
